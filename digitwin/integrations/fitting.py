"""What a framework tells, as a recorder can store it: neither too long nor malformed.

A call that is recorded cannot be told that something is too long, so the beginning is stored.
"""

from __future__ import annotations

import json
from typing import Any, Final

from digitwin.conversations.fields import MAX_TEXT
from digitwin.conversations.recorder.recorder import TurnRecorder
from digitwin.errors import InvalidInputError
from digitwin.integrations.texts import storable
from digitwin.kernel.primitives.jsonb import MAX_BYTES, json_error

MAX_NAME: Final = 200
"""Characters of a name."""
MAX_CUT: Final = 170_000
"""Characters of a text that is too long for an item: six bytes of JSON each, at most."""


class Fitting:
    """Cuts what is too long; the first is logged, and all are counted in ``health()``.

    Args:
        recorder: whose failed callbacks they are.
    """

    def __init__(self, recorder: TurnRecorder) -> None:
        self._recorder = recorder

    def text(self, text: str, room: int = MAX_TEXT) -> str:
        """Return as much of a text as there is room for."""
        plain = storable(text)
        return plain if len(plain) <= room else self._cut(plain, room)

    def name(self, name: str) -> str | None:
        """Return a name, on one line; None if nothing of it can be stored."""
        plain = one_line(name)
        return (plain if len(plain) <= MAX_NAME else self._cut(plain, MAX_NAME).rstrip()) or None

    def result(self, text: str) -> str:
        """Return what a tool answered, as a JSON value."""
        plain = storable(text)
        if len(plain) <= MAX_CUT or len(json.dumps(plain)) < MAX_BYTES - 100:
            return plain
        return self._cut(plain, MAX_CUT)

    def arguments(self, text: str) -> Any:
        """Return the arguments that a model wrote; the text as it is, if it is no JSON to store."""
        try:
            value = _storable(json.loads(text))
        except (ValueError, RecursionError):
            return self.result(text)
        return value if json_error({"arguments": value}) is None else self.result(text)

    def payload(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return values of which some are texts, as a JSON object."""
        return {k: self.result(v) if isinstance(v, str) else v for k, v in values.items()}

    def _cut(self, text: str, room: int) -> str:
        with self._recorder.guarding("too_long"):
            raise InvalidInputError("the beginning of a text is stored", field="text", limit=room)
        return text[:room]


def one_line(text: str) -> str:
    """Return a text as a name is stored: on one line, without what cannot be printed."""
    return " ".join("".join(c if c.isprintable() else " " for c in storable(text)).split())


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {storable(key): _storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_storable(item) for item in value]
    return value
