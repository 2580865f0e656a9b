"""The files of an export, derived from the registry of tables."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from digitwin.kernel.sql.tables import Table, View, personal
from digitwin.privacy.export import ExportFile


def files_about_person(person: UUID) -> list[ExportFile]:
    """Return a file for each table that holds data of the person; the table of people first."""
    tables = [table for table in reversed(personal()) if table.data.exported]
    return [_whole(table, "data", table.data.found_by, person=person) for table in tables]


def files_about_participant(
    folder: str, ref: str, *, kind: str | None = None, except_of: UUID | None = None
) -> list[ExportFile]:
    """Return the files about a participant: somebody who talked to other people's twins.

    Args:
        folder: the folder of the files within the archive.
        ref: the participant's ref.
        kind: the participant's kind; any kind if unset.
        except_of: an owner whose twin is excluded.
    """
    subject = {"ref": ref, "kind": kind, "except_of": except_of}
    return [
        ExportFile(table, view, folder, subject)
        for table in reversed(personal())
        if (view := table.data.as_participant) is not None
    ]


def files_about_ref(folder: str, ref: str) -> list[ExportFile]:
    """Return the files found by a ref alone, such as rate limits and cache entries."""
    return [
        _whole(table, folder, found_by, ref=ref)
        for table in reversed(personal())
        if (found_by := table.data.by_name) is not None
    ]


def _whole(table: Table, folder: str, found_by: str, **subject: Any) -> ExportFile:
    data = table.data
    return ExportFile(table, View(data.title, data.columns, found_by), folder, subject)
