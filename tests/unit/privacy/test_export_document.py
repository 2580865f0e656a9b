"""What ``docs/export.md`` says of the archive is what is in it."""

from __future__ import annotations

import re

from digitwin.kernel.execution.opening import wire_models
from digitwin.kernel.primitives.ids import NOBODY
from digitwin.privacy.data_map import files_about_participant, files_about_person
from digitwin.privacy.export import FORMAT, VERSION
from digitwin.privacy.subjects import by_ref
from tests.support import checkout

TEXT = checkout.read("docs/export.md")
wire_models()
FILES = {
    file.name: file.view.columns
    for file in (*files_about_person(NOBODY), *files_about_participant("elsewhere", by_ref("")))
}


def told() -> dict[str, dict[str, str]]:
    _, *sections = re.split(r"^### `(.*?)`$", TEXT, flags=re.MULTILINE)
    return {
        name: dict(re.findall(r"^\| `(\w+)` \| (.*?) \|$", text, re.MULTILINE))
        for name, text in zip(sections[::2], sections[1::2], strict=True)
    }


def test_every_file_and_field_is_told() -> None:
    assert told() == {name: dict(columns) for name, columns in FILES.items()}


def test_the_version_is_told() -> None:
    assert f"`format` is `{FORMAT}`, `version` {VERSION}." in TEXT
