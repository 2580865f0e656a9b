"""What every command shares: how it prints, fails, asks, waits and reaches the database."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, is_dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from digitwin.errors import DigiTwinError

if TYPE_CHECKING:
    from digitwin.connecting import Opening
    from digitwin.kernel.connection.dsn import Target
    from digitwin.settings import Settings

T = TypeVar("T")


class CommandError(DigiTwinError):
    """The command cannot do this; its message says what would help."""

    code = "command"


@dataclass(frozen=True, slots=True)
class Invocation:
    """The options every command has, wherever they stand on the line."""

    json: bool = False
    url: str | None = None


invocation: ContextVar[Invocation] = ContextVar("digitwin_invocation")


def hoist(arguments: Sequence[str]) -> tuple[Invocation, list[str]]:
    """Take ``--json`` and ``--url`` out of the arguments, up to a ``--``."""
    rest, as_json, url = list(arguments), False, None
    at = 0
    while at < len(rest) and rest[at] != "--":
        if rest[at] == "--json":
            as_json = True
            del rest[at]
        elif rest[at] == "--url" and at + 1 < len(rest):
            url = rest[at + 1]
            del rest[at : at + 2]
        elif rest[at].startswith("--url="):
            url = rest.pop(at).removeprefix("--url=")
        else:
            at += 1
    return Invocation(as_json, url), rest


def current() -> Invocation:
    """The options of the command that runs."""
    return invocation.get(Invocation())


def connect(**overrides: Any) -> Opening:
    """A handle on the database that ``--url`` or the environment names."""
    from digitwin import connecting

    return connecting.connect(current().url, **overrides)


@asynccontextmanager
async def located() -> AsyncIterator[tuple[Target, Settings]]:
    """The database that ``--url`` or the environment names, or the embedded one while it is
    needed; no connection yet."""
    from digitwin.kernel.connection import dsn
    from digitwin.servers import embedded
    from digitwin.settings import Settings

    settings = Settings()
    target = dsn.resolve(settings, current().url)
    if target is not None:
        yield target, target.over(settings)
        return
    server = await embedded.acquire_by_default(settings)
    try:
        yield server.target, settings
    finally:
        await server.release()


def run(main: Callable[[], Awaitable[T]]) -> T:
    """Run a command's coroutine to its end, on uvloop where it is installed."""

    async def started() -> T:
        return await main()

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(started())


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def show(document: Any, text: str | None = None) -> None:
    """The command's result, once: JSON with ``--json``, else ``text`` for people."""
    if current().json:
        typer.echo(as_json(document))
    elif text is not None:
        typer.echo(text)


def say(text: str) -> None:
    """A line for people along the way; ``--json`` leaves it out."""
    if not current().json:
        typer.echo(text)


def fail(error: DigiTwinError) -> None:
    """One line on stderr; with ``--json`` also the error as the document on stdout."""
    message = " ".join(error.message.split())
    typer.echo(f"error: {message}", err=True)
    if current().json:
        details = {"code": error.code, "message": message, "details": error.details}
        typer.echo(as_json({"error": details}))


def as_json(document: Any) -> str:
    """Dataclasses as objects; ids, times and other strangers as text."""
    return json.dumps(document, default=_plain, ensure_ascii=False, indent=2)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


@contextmanager
def progress(label: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """A bar on stderr while a person watches; call what it gives with what was done since."""
    if current().json or not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task(label, total=total)
        yield lambda done: bars.advance(bar, done)


def confirm_destructive(target: Target, what: str, *, yes: bool) -> None:
    """Let a command that destroys go on: on this machine only, and only when agreed to.

    Args:
        what: what would be lost, as in "every row of digitwin's tables".

    Raises:
        CommandError: the host is another, or nobody agreed.
    """
    require_local(target, f"destroy {what}")
    if yes:
        return
    if not current().json and sys.stdin.isatty():
        if typer.confirm(f"This destroys {what} in {target.display}. Go on?", err=True):
            return
        raise CommandError("Nothing was changed")
    raise CommandError(f"This destroys {what} in {target.display}: say so with --yes")


def require_local(target: Target, deed: str, cure: str = "") -> None:
    """Refuse what must not happen to a database that others may depend on."""
    if not target.is_local:
        hint = f": {cure}" if cure else ""
        raise CommandError(f"{target.display} is not on this machine: will not {deed}{hint}")
