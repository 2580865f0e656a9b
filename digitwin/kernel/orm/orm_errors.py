"""Errors of Tortoise, translated to digitwin's.

Models and querysets are used directly, and no error of the ORM may leave them. A queryset
translates in each of its methods and when it is awaited, a model in each of its methods.
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

_NOT_FOUND = (exceptions.DoesNotExist, exceptions.ObjectDoesNotExistError)
_INVALID_NAME = (exceptions.FieldError, exceptions.ParamsError)


@contextmanager
def translated_errors(field: str = "query") -> Iterator[None]:
    """Translate what Tortoise raises inside the block; ``field`` is named in the error."""
    try:
        yield
    except (exceptions.BaseORMException, *_CONVERSION) as error:
        _scrub(error)
        raise _translate(error, field) from error


_CONVERSION = (ValueError, OverflowError, RecursionError)
_REPEATS_VALUE = (exceptions.ValidationError, *_CONVERSION)


def _scrub(error: Exception) -> None:
    """Remove the value from an error, in place: it stays the cause of digitwin's."""
    if isinstance(error, _REPEATS_VALUE):
        error.args = ("a value is not valid",)
        error.__cause__ = error.__context__ = None


def _translate(error: Exception, field: str) -> DigiTwinError:
    if isinstance(error, _NOT_FOUND):
        return NotFoundError(str(error))
    if isinstance(error, _REPEATS_VALUE):
        return InvalidInputError(f"{field} has an invalid value", field=field)
    if isinstance(error, _INVALID_NAME):
        return InvalidInputError(str(error), field=field)
    return InvalidStateError(str(error))


def translates_errors(queryset: Q) -> Q:
    """Class decorator: the methods translate errors, and so does what they return to await."""
    for name, method in vars(QuerySet).items():
        if callable(method) and (name == "__getitem__" or not name.startswith("_")):
            setattr(queryset, name, _translating_method(getattr(queryset, name)))
    wait = _translating_await(queryset.__await__)
    setattr(queryset, "__await__", wait)  # noqa: B010 - of another type
    return queryset


def _translating_method(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        with translated_errors():
            found = method(*args, **kwargs)
        if isinstance(found, AwaitableQuery) and not isinstance(found, QuerySet):
            kind: Any = type(found)
            found.__class__ = _translating_query(kind)
        return found

    return call


@cache
def _translating_query(query: type[Any]) -> type[Any]:
    """Return a subclass of this kind of query that differs in its errors alone."""
    members = {"__slots__": (), "__await__": _translating_await(query.__await__)}
    return type(query.__name__, (query,), members)


def _translating_await(wait: Callable[[Any], Any]) -> Callable[[Any], Generator[Any, None, Any]]:
    def call(query: Any) -> Generator[Any, None, Any]:
        with translated_errors():
            return (yield from wait(query))

    return call
