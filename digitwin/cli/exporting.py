"""``digitwin export conversations``: write conversations to a file."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from digitwin.cli import output
from digitwin.errors import NotFoundError

if TYPE_CHECKING:
    from digitwin.conversations.repository import ConversationSessionRepository


def conversations(
    user: Annotated[str, typer.Option("--user", help="E-mail address of the twin's owner.")],
    file: Annotated[Path, typer.Option("--output", help="The file to write; must not exist.")],
    session: Annotated[
        str | None, typer.Option("--session", help="Only the conversation with this id.")
    ] = None,
) -> None:
    """Export a user's conversations as JSON lines, to a file that only you can read.

    `digitwin import conversations` reads it. Addresses of recordings are not exported.
    """
    if file.exists():
        raise output.CommandError(f"{file} exists already")
    size = output.run(lambda: _exported(user, file, session))
    output.show({"file": str(file), "bytes": size}, f"{file}: {size:,} bytes")


def register(app: typer.Typer, db: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="Export conversations.")
    group.command("conversations")(conversations)
    group.callback()(_group)
    app.add_typer(group, name="export")


def _group() -> None:
    """Export conversations."""


async def _exported(email: str, file: Path, session: str | None) -> int:
    from digitwin.kernel.primitives import private_file

    async with output.connect() as db:
        service = db.for_service(reason="digitwin export: a user's conversations")
        owner = (await service.users.get_by_email(email)).id
        async with aclosing(_lines(service.sessions, owner, session)) as lines:
            return await private_file.replace_streamed(file, lines)


async def _lines(
    sessions: ConversationSessionRepository, owner: UUID, only: str | None
) -> AsyncGenerator[bytes, None]:
    ids: list[UUID | str] = [one.id async for one in sessions.stream(user_id=owner)]
    for id in ids if only is None else [only]:
        try:
            async with aclosing(sessions.export(id, user_id=owner)) as lines:
                async for line in lines:
                    yield line.encode() + b"\n"
        except NotFoundError:  # deleted meanwhile
            if only is not None:
                raise
