"""Figures as pipelines report them: durations and counts, made storable whatever they are.

One odd figure must not cost a turn or a record of costs. A whole number is stored as it is, a
float is rounded; None and negative numbers, such as -1, are unknown, and so are NaN and infinity.
What fits no column is kept in ``extra`` under its name, with one warning for each name.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from digitwin.errors import InvalidInputError
from digitwin.kernel.primitives.iterables import fields_of
from digitwin.kernel.primitives.jsonb import dumps, fault

log = logging.getLogger("digitwin.conversations")

MAX_FIGURE: Final = 2**31 - 1
"""The largest value of a column."""
MAX_EXTRA: Final = 50
"""Names in ``extra`` of one turn or record."""
MAX_EXTRA_BYTES: Final = 2000
"""Bytes of JSON of one value in ``extra``."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,99}")
"""Names that are kept and logged; another may be anything, such as an address."""
_warned: set[str] = set()
_MAX_WARNED = 1000


class Figures(NamedTuple):
    """Figures by the name of their column (None: unknown), and those that fit no column."""

    known: dict[str, int | None]
    extra: dict[str, Any]


NO_FIGURES = Figures({}, {})


class FiguresOf:
    """``Annotated[Timings, FiguresOf(STAGES, "timings")]``: validated to :class:`Figures`."""

    def __init__(self, columns: Collection[str], field: str) -> None:
        self._columns, self._field = frozenset(columns), field

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._read)

    def _read(self, given: object) -> Figures:
        try:
            return figures(given, self._columns, self._field)
        except InvalidInputError as error:
            why = error.message.removeprefix(f"{self._field} ")
        raise PydanticCustomError("figures", "{why}", {"why": why})


def figures(given: object, columns: Collection[str], field: str) -> Figures:
    """Return figures as they are stored.

    Args:
        given: a mapping of names to values; None: no figures.
        columns: the names that have a column.
        field: the name of the argument, for errors and warnings.

    Raises:
        InvalidInputError: it is not a mapping.
    """
    if type(given) is dict and _are_plain(given, columns):
        return Figures(given, {})
    known: dict[str, int | None] = {}
    extra: dict[str, Any] = {}
    for name, value in _items(given, field).items():
        if name in columns:
            if type(value) is int and 0 <= value <= MAX_FIGURE:
                known[name] = value
                continue
            fits, known[name] = _figure(value)
            if fits:
                continue
        _keep(extra, name, value, field)
    return Figures(known, extra)


def _are_plain(given: dict[Any, Any], columns: Collection[str]) -> bool:
    """Return whether the figures are stored as they are, as nearly all are; cheap."""
    for name, value in given.items():
        if type(value) is not int or not 0 <= value <= MAX_FIGURE or name not in columns:
            return False
    return True


def _items(given: object, field: str) -> Mapping[str, Any]:
    if given is None:
        return {}
    if not issubclass(type(given), Mapping):
        raise InvalidInputError(f"{field} must be a dict", field=field)
    return {_name(name): value for name, value in fields_of(given, field, field).items()}


def _name(name: object) -> str:
    """Return a plain name, or an empty one for what is none."""
    kind = type(name)
    if not issubclass(kind, str):
        return ""
    plain = str.__str__(name)
    return plain if _NAME.fullmatch(plain) else ""


def _figure(value: Any) -> tuple[bool, int | None]:
    """Return whether the column can say what this value says, and the column's value."""
    kind = type(value)
    if value is None:
        return True, None
    if kind is bool or not issubclass(kind, int | float):
        return False, None
    if issubclass(kind, float):
        number = float.__float__(value)
        if not math.isfinite(number):
            return True, None
        whole = round(number)
    else:
        whole = int.__int__(value)
    if whole < 0:
        return True, None
    return (True, whole) if whole <= MAX_FIGURE else (False, None)


def _keep(extra: dict[str, Any], name: str, value: Any, field: str) -> None:
    """Keep a value under its name, if JSON can hold it; warn once for each name."""
    is_kept = bool(name) and len(extra) < MAX_EXTRA and _is_small_json(value)
    if is_kept:
        extra[name] = value
    key = f"{field}.{name or '?'}"
    if key in _warned or len(_warned) >= _MAX_WARNED:
        return
    _warned.add(key)
    log.warning(
        "%s fits no column: it is %s (warned once)",
        key if name else f"A name in {field}",
        "kept in `extra`" if is_kept else "dropped",
    )


def _is_small_json(value: Any) -> bool:
    return fault(value) is None and len(dumps(value).encode()) <= MAX_EXTRA_BYTES
