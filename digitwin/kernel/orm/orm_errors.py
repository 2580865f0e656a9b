"""What Tortoise raises, in digitwin's words.

Models are used directly, and no error of the ORM's leaves them: a query speaks our words when
it is built and when it is awaited, a model in each of its methods.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from typing import Any, TypeVar

from tortoise import exceptions
from tortoise.queryset import AwaitableQuery, QuerySet

from digitwin.errors import (
    DigiTwinError,
    InvalidInputError,
    InvalidStateError,
    NotFoundError,
)

Q = TypeVar("Q", bound=type[QuerySet[Any]])

_MISSING = (exceptions.DoesNotExist, exceptions.ObjectDoesNotExistError)
_MISSPELT = (exceptions.FieldError, exceptions.ParamsError)


@contextmanager
def our_words(field: str = "query") -> Iterator[None]:
    """Turn what Tortoise raises within into an error of ours; ``field`` is what it is about."""
    try:
        yield
    except exceptions.BaseORMException as error:
        raise _of(error, field) from error


def _of(error: exceptions.BaseORMException, field: str) -> DigiTwinError:
    if isinstance(error, _MISSING):
        return NotFoundError(str(error))
    if isinstance(error, exceptions.ValidationError):  # its text repeats the value
        return InvalidInputError(f"{field} holds a value that does not fit", field=field)
    if isinstance(error, _MISSPELT):
        return InvalidInputError(str(error), field=field)
    return InvalidStateError(str(error))


def in_our_words(rows: Q) -> Q:
    """A class of querysets whose methods, and what they give to await, speak our words."""
    for name, method in vars(QuerySet).items():
        if callable(method) and (name == "__getitem__" or not name.startswith("_")):
            setattr(rows, name, _speaking_method(getattr(rows, name)))
    setattr(rows, "__await__", _speaking_await(rows.__await__))  # noqa: B010 - of another type
    return rows


def _speaking_method(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def speak(*args: Any, **kwargs: Any) -> Any:
        with our_words():
            found = method(*args, **kwargs)
        if isinstance(found, AwaitableQuery) and not isinstance(found, QuerySet):
            kind: Any = type(found)
            found.__class__ = _speaking(kind)
        return found

    return speak


@cache
def _speaking(query: type[Any]) -> type[Any]:
    """The same kind of query; nothing but its errors is different."""
    spoken = {"__slots__": (), "__await__": _speaking_await(query.__await__)}
    return type(query.__name__, (query,), spoken)


def _speaking_await(wait: Callable[[Any], Any]) -> Callable[[Any], Generator[Any, None, Any]]:
    def speak(query: Any) -> Generator[Any, None, Any]:
        with our_words():
            return (yield from wait(query))

    return speak
