"""The actor of audit records, in a context variable that child tasks inherit.

It is independent of handles: records of every handle name the same actor.
"""

from __future__ import annotations

import ipaddress
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Annotated, Any, TypeAlias
from uuid import UUID

from pydantic import BeforeValidator, TypeAdapter, with_config
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from digitwin.kernel.primitives.validation import STRICT, Id, Line, Text, validate

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


def _address(value: object) -> str:
    """Normalize an IP address, so that equal addresses compare equal in the audit trail."""
    if isinstance(value, str | ipaddress.IPv4Address | ipaddress.IPv6Address):
        try:
            return str(ipaddress.ip_address(value))
        except ValueError:
            pass
    raise PydanticCustomError("ip_address", "must be an IPv4 or IPv6 address")


IpAddress = Annotated[str | Address, Line(45), BeforeValidator(_address)]
UserAgent = Annotated[str, Text(1000)]
RequestId = Annotated[str, Line(200)]


@with_config(STRICT)
class Who(TypedDict, total=False):
    """Arguments of ``acting_as``; fields that are not set are inherited."""

    actor_id: Id | None
    ip_address: IpAddress | None
    user_agent: UserAgent | None
    request_id: RequestId | None


WHO: TypeAdapter[Any] = TypeAdapter(Who)


@dataclass(frozen=True, slots=True)
class Actor:
    """The current actor; None: unknown."""

    actor_id: UUID | None = None
    ip_address: str | None = field(default=None, repr=False)
    user_agent: str | None = field(default=None, repr=False)
    request_id: str | None = None


_UNKNOWN = (Actor(),)
_acting: ContextVar[tuple[Actor, ...]] = ContextVar("digitwin_acting", default=_UNKNOWN)


def current() -> Actor:
    """Return the current actor, as set by the enclosing ``acting_as`` blocks."""
    return _acting.get()[-1]


class ActingAs:
    """A context manager (sync and async) that sets the actor; reusable and reentrant.

    Raises:
        InvalidInputError: names the invalid field.
    """

    __slots__ = ("_given",)

    def __init__(self, **given: Any) -> None:
        self._given: dict[str, Any] = validate(WHO, given)

    def __enter__(self) -> Actor:
        around = _acting.get()
        actor = replace(around[-1], **self._given)
        _acting.set((*around, actor))
        return actor

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # not by token: frameworks may exit in another context, where reset() would raise
        _acting.set(_acting.get()[:-1] or _UNKNOWN)

    async def __aenter__(self) -> Actor:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, trace)
