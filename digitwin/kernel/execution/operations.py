"""The decorators of public methods: they run on an open handle, or are refused."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from contextlib import aclosing
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from digitwin.errors import DigiTwinError, SchemaChangedError
from digitwin.kernel.execution import audit_records
from digitwin.kernel.execution.core import Core
from digitwin.kernel.primitives.flags import flags_of, require_flags

P = ParamSpec("P")
T = TypeVar("T")
Self = TypeVar("Self", bound="HasCore")


class HasCore(Protocol):
    _core: Core


def operation(
    method: Callable[Concatenate[Self, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Self, P], Coroutine[Any, Any, T]]:
    """Decorate a public method: refused on a closed handle, awaited by ``close()``.

    Its flags are validated here, whichever method has them; see :func:`flags_of`. On a class with
    ``runs_again``, an operation whose transaction met a changed table is run again, once, if it
    has stored nothing.
    """
    flags = flags_of(method)

    @wraps(method)
    async def run(self: Self, /, *args: P.args, **kwargs: P.kwargs) -> T:
        core = self._core
        if core.within():
            try:
                if flags:
                    require_flags(flags, kwargs)
                return await method(self, *args, **kwargs)
            except DigiTwinError as error:
                await _failed(core, self, method.__name__, error)
                raise
        work = core.begin()
        try:
            if flags:
                require_flags(flags, kwargs)
            try:
                return await method(self, *args, **kwargs)
            except SchemaChangedError:
                again = getattr(self, "runs_again", False) and _can_be_given_again(args, kwargs)
                if work.stored or not again:
                    raise
            return await method(self, *args, **kwargs)
        except DigiTwinError as error:
            await _failed(core, self, method.__name__, error)
            raise
        finally:
            core.end(work)

    return run


def _can_be_given_again(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Return whether no argument is an iterator, of which a second run would see the rest only."""
    given = (*args, *kwargs.values())
    return not any(isinstance(value, Iterator | AsyncIterator) for value in given)


async def _failed(core: Core, part: Any, method: str, error: DigiTwinError) -> None:
    """Record a denied call, and raise a better error if the schema's version explains this one."""
    await audit_records.refused(core, part, method, error)
    explained = await core.pool.explained(error)
    if explained is not error:
        raise explained from error


def streaming(
    method: Callable[Concatenate[Self, P], AsyncGenerator[T, None]],
) -> Callable[Concatenate[Self, P], AsyncGenerator[T, None]]:
    """Decorate a public async generator, like :func:`operation`."""
    flags = flags_of(method)

    @wraps(method)
    async def run(self: Self, /, *args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[T, None]:
        with self._core.counted():
            try:
                require_flags(flags, kwargs)
                async with aclosing(method(self, *args, **kwargs)) as items:
                    async for item in items:
                        yield item
            except DigiTwinError as error:
                await _failed(self._core, self, method.__name__, error)
                raise

    return run
