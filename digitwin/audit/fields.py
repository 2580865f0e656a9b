"""The fields of an audit record, and the filters of a page, as callers give them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Required
from uuid import UUID

from pydantic import BeforeValidator, TypeAdapter, with_config
from typing_extensions import TypedDict

from digitwin.kernel.primitives.ids import one_spelling
from digitwin.kernel.primitives.validation import STRICT, Id, JsonObject, Line, Period
from digitwin.kernel.sql.actor import IpAddress, UserAgent

Result = Literal["success", "failure", "denied"]


def _name(value: object) -> object:
    if isinstance(value, UUID):
        return str(value)
    return one_spelling(value) if isinstance(value, str) else value


Name = Annotated[str, Line(100)]
RowName = Annotated[UUID | str, Line(200), BeforeValidator(_name)]


@with_config(STRICT)
class Details(TypedDict, total=False):
    """The optional arguments of ``record``."""

    resource_id: RowName | None
    actor_id: Id | None
    user_id: Id | None
    result: Result
    ip_address: IpAddress | None
    user_agent: UserAgent | None
    metadata: JsonObject | None


@with_config(STRICT)
class Entry(Details, total=False):
    """One record of ``record_many``; ``action`` and ``resource`` are required."""

    action: Required[Name]
    resource: Required[Name]


@with_config(STRICT)
class Filters(Period, total=False):
    """The filters of ``list``."""

    action: Name | None
    resource: Name | None
    resource_id: RowName | None
    actor_id: Id | None
    user_id: Id | None
    result: Result | None


ENTRY: TypeAdapter[Any] = TypeAdapter(Entry)
FILTERS: TypeAdapter[Any] = TypeAdapter(Filters)
