"""The files of an export, derived from the registry of tables."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from digitwin.kernel.sql.tables import Table, View, personal
from digitwin.privacy.export import ExportFile
from digitwin.privacy.subjects import ParticipantFilter


def files_about_person(person: UUID) -> list[ExportFile]:
    """Return a file for each table that holds data of the person; the table of people first."""
    tables = [table for table in reversed(personal()) if table.data.exported]
    return [_whole(table, "data", table.data.found_by, person=person) for table in tables]


def files_about_participant(folder: str, selected: ParticipantFilter) -> list[ExportFile]:
    """Return the files about participants: people who talked to other people's twins.

    Args:
        folder: the folder of the files within the archive.
        selected: finds the participants.
    """
    return [
        ExportFile(
            table,
            View(view.title, view.columns, selected.within(view.found_by)),
            folder,
            selected.values,
        )
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
