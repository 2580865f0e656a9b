"""What an export about somebody contains: the files, as the registry of tables declares them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from digitwin.kernel.sql.tables import Table, View, personal
from digitwin.privacy.export import ExportFile


def files_about_person(person: UUID) -> list[ExportFile]:
    """Everything that every table holds of a person; the person first."""
    tables = [table for table in reversed(personal()) if table.data.exported]
    return [_whole(table, "data", table.data.found_by, person=person) for table in tables]


def files_about_participant(
    folder: str, ref: str, *, kind: str | None = None, except_of: UUID | None = None
) -> list[ExportFile]:
    """What is held about somebody who talked to twins that are not theirs.

    Args:
        kind: the participant's kind; any if unset.
        except_of: an owner whose twin is left out.
    """
    subject = {"ref": ref, "kind": kind, "except_of": except_of}
    return [
        ExportFile(table, view, folder, subject)
        for table in reversed(personal())
        if (view := table.data.as_participant) is not None
    ]


def files_about_name(folder: str, ref: str) -> list[ExportFile]:
    """What is held about somebody who is known by a name alone."""
    return [
        _whole(table, folder, found_by, ref=ref)
        for table in reversed(personal())
        if (found_by := table.data.by_name) is not None
    ]


def _whole(table: Table, folder: str, found_by: str, **subject: Any) -> ExportFile:
    data = table.data
    return ExportFile(table, View(data.title, data.columns, found_by), folder, subject)
