"""Shared by all commands: output, errors, confirmation, progress, and the connection."""

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
    """The command cannot do this."""

    code = "command"


@dataclass(frozen=True, slots=True)
class Invocation:
    """The global options."""

    json: bool = False
    url: str | None = None


invocation: ContextVar[Invocation] = ContextVar("digitwin_invocation")


def extract_global_options(arguments: Sequence[str]) -> tuple[Invocation, list[str]]:
    """Extract ``--json`` and ``--url`` from the arguments before a ``--``; return the rest too."""
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
    """Return the global options of the running command."""
    return invocation.get(Invocation())


def connect(**overrides: Any) -> Opening:
    """Open a handle on the database of ``--url`` or the environment."""
    from digitwin import connecting

    return connecting.connect(current().url, **overrides)


@asynccontextmanager
async def resolved_target() -> AsyncIterator[tuple[Target, Settings]]:
    """Resolve the database of ``--url`` or the environment, without connecting.

    The embedded server, if it is used, runs until the block ends.
    """
    from digitwin.kernel.connection import dsn
    from digitwin.servers import embedded
    from digitwin.settings import Settings

    settings = Settings()
    target = dsn.resolve(settings, current().url)
    if target is not None:
        yield target, target.apply_to(settings)
        return
    server = await embedded.acquire_by_default(settings)
    try:
        yield server.target, settings
    finally:
        await server.release()


def run(main: Callable[[], Awaitable[T]]) -> T:
    """Run a command's coroutine, on uvloop if it is installed."""

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
    """Print the command's result: ``document`` with ``--json``, else ``text``."""
    if current().json:
        typer.echo(as_json(document))
    elif text is not None:
        typer.echo(text)


def say(text: str) -> None:
    """Print an intermediate line; nothing with ``--json``."""
    if not current().json:
        typer.echo(text)


def fail(error: DigiTwinError) -> None:
    """Print the error as one line on stderr; with ``--json`` also as a document on stdout."""
    message = " ".join(error.message.split())
    typer.echo(f"error: {message}", err=True)
    if current().json:
        details = {"code": error.code, "message": message, "details": error.details}
        typer.echo(as_json({"error": details}))


def as_json(document: Any) -> str:
    """Encode as JSON: dataclasses as objects, ids and times as strings."""
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
    """Show a progress bar on stderr if it is a terminal; yields a function that advances it."""
    if current().json or not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task(label, total=total)
        yield lambda done: bars.advance(bar, done)


async def confirm_destructive(
    target: Target, settings: Settings, what: str, *, force: bool, yes: bool
) -> None:
    """Ask before destroying data; without ``force`` only on the embedded server.

    Args:
        target: the database.
        settings: the configuration; its ``home`` is the folder of the embedded server.
        what: what would be lost, as in "every row of digitwin's tables".
        force: the database may be on any server.
        yes: the user agreed on the command line.

    Raises:
        CommandError: the server is not the embedded one, or the user did not agree.
    """
    if not force:
        await require_embedded(target, settings, f"destroy {what}")
    if yes:
        return
    if not current().json and sys.stdin.isatty():
        if typer.confirm(f"This destroys {what} in {target.display}. Continue?", err=True):
            return
        raise CommandError("Aborted, nothing was changed")
    raise CommandError(f"This destroys {what} in {target.display}: pass --yes to confirm")


async def require_embedded(target: Target, settings: Settings, action: str) -> None:
    """Refuse an action on a server that is not the embedded one, since others may use it.

    The server is asked: a socket or a loopback address may be a pooler's or a tunnel's.

    Raises:
        CommandError: it is another server.
        ConnectionFailedError: it does not answer.
    """
    if target.is_local and await _is_embedded(target, settings):
        return
    raise CommandError(
        f"{target.display} is not the embedded server of {settings.home}: refusing to {action};"
        " pass --force if nobody else needs this database"
    )


async def _is_embedded(target: Target, settings: Settings) -> bool:
    from digitwin.kernel.execution import opening
    from digitwin.servers import recognition

    connection = await opening.connect_once(settings, target)
    try:
        return await recognition.is_server_of(settings.home, connection)
    finally:
        await opening.close_once(connection)
