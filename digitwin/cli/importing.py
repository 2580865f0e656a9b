"""``digitwin import conversations|documents``: import data from files."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from digitwin.cli import output

if TYPE_CHECKING:
    from digitwin.importing import (
        BadRecord,
        ConversationImport,
        DocumentImport,
        TranscriptImport,
    )

File = Annotated[
    Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="A JSON lines file.")
]
Folder = Annotated[
    Path, typer.Argument(exists=True, file_okay=False, help="Folder with .txt, .md and .rst files.")
]
Owner = Annotated[
    str | None,
    typer.Option("--user", help="E-mail address of the owner of exported conversations."),
]
Email = Annotated[str, typer.Option("--user", help="E-mail address of the documents' owner.")]


class History(StrEnum):
    """Formats of models' histories."""

    openai = "openai"
    langchain = "langchain"


def conversations(
    file: File,
    user: Owner = None,
    source: Annotated[
        History | None,
        typer.Option("--from", help="The file has messages of this kind, one history per line."),
    ] = None,
) -> None:
    """Import conversations from a JSON lines file; those that exist are skipped.

    The file is one of `digitwin export conversations`; or, with --from, one of models' histories,
    each line {"id", "messages": […]}; or each line is {"id", "user_traits", "twin_traits",
    "turns": [{"speaker", "text"}]}, where speaker is user or twin, and gets an owner and a guest
    of its own. Invalid lines are listed at the end (exit code 1).
    """
    report = output.run(lambda: _conversations(file, user, source))
    output.show(report, _conversations_text(report))
    _fail_if_any(report.bad)


def documents(folder: Folder, user: Email) -> None:
    """Import the documents of a folder and its subfolders into a user's knowledge base.

    Documents whose content the user already has are skipped. Files that cannot be imported are
    listed at the end (exit code 1).
    """
    report = output.run(lambda: _documents(folder, user))
    output.show(report, _documents_text(report))
    _fail_if_any(report.bad)


def register(app: typer.Typer, db: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="Import conversations and documents.")
    group.command("conversations")(conversations)
    group.command("documents")(documents)
    app.add_typer(group, name="import")


async def _conversations(
    file: Path, email: str | None, source: History | None
) -> ConversationImport | TranscriptImport:
    from digitwin.importing import import_conversations, import_histories, import_transcripts
    from digitwin.importing.transcripts import is_transcript

    size = file.stat().st_size  # noqa: ASYNC240 - nothing else runs yet
    has_owner = source is None and not is_transcript(file)
    if has_owner != (email is None):
        needs = "its conversations have owners of their own" if has_owner else "it needs --user"
        raise output.CommandError(f"{file.name}: {needs}")
    async with output.connect() as db:
        owner = None if email is None else (await db.users.get_by_email(email)).id
        with output.progress("Conversations", size) as advance:
            if owner is None:
                return await import_conversations(db, file, progress=advance)
            if source is None:
                return await import_transcripts(db, file, user_id=owner, progress=advance)
            return await import_histories(
                db, file, user_id=owner, format=source.value, progress=advance
            )


async def _documents(folder: Path, email: str) -> DocumentImport:
    from digitwin.importing import import_documents
    from digitwin.importing.documents import documents_in

    async with output.connect() as db:
        user = await db.users.get_by_email(email)
        with output.progress("Documents", len(documents_in(folder))) as advance:
            return await import_documents(db, folder, user_id=user.id, progress=advance)


def _conversations_text(report: ConversationImport | TranscriptImport) -> str:
    from digitwin.importing import ConversationImport

    counts = [f"{report.turns:>9,}  turns in them"]
    if isinstance(report, ConversationImport):
        counts = [
            f"{report.utterances:>9,}  utterances in them, as {report.turns:,} turns",
            f"{report.users:>9,}  users added, who own them",
        ]
    return "\n".join(
        (
            f"{report.conversations:>9,}  conversations added",
            *counts,
            f"{report.skipped:>9,}  conversations skipped, they exist",
            *bad_record_lines(report.bad, "lines"),
        )
    )


def _documents_text(report: DocumentImport) -> str:
    return "\n".join(
        (
            f"{report.documents:>9,}  documents added",
            f"{report.characters:>9,}  characters in them",
            f"{report.skipped:>9,}  documents skipped, they exist",
            *bad_record_lines(report.bad, "files"),
        )
    )


def bad_record_lines(bad: list[BadRecord], noun: str) -> list[str]:
    """Return the lines about rejected records, for the end of a report."""
    if not bad:
        return []
    return [f"{len(bad):>9,}  {noun} could not be imported:", *(f"  {record}" for record in bad)]


def _fail_if_any(bad: list[BadRecord]) -> None:
    if bad:
        raise typer.Exit(1)
