"""Removes values from the driver's exceptions, which stay the cause of digitwin's errors.

PostgreSQL repeats values in its messages (``DETAIL: Key (address)=(…)``, the failing row, an
unreadable input), and asyncpg repeats arguments. What is left for debugging: the class, SQLSTATE,
severity, the names of schema, table, column and constraint, and the statement's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import asyncpg

_KEPT = {
    "severity",
    "severity_en",
    "sqlstate",
    "schema_name",
    "table_name",
    "column_name",
    "data_type_name",
    "constraint_name",
    "server_source_filename",
    "server_source_line",
    "server_source_function",
}
_NAMES_ONLY = {"08", "0A", "23", "25", "28", "3D", "3F", "40", "42", "53", "55", "57"}
"""Classes of SQLSTATE whose messages name objects of the database, and no values."""
_NOT_NAMES_ONLY = {"42601", "53100", "53200", "53400"}
"""Within those classes: a syntax error quotes the statement, and a full disk names the server's
files."""

_STATEMENT = re.compile(
    r"/\* (?P<name>[a-z_]+\.[a-z_]+) \*/"
    r"|(?P<verb>INSERT INTO|DELETE FROM|UPDATE|FROM)\s+\"?(?P<table>[a-z_]+)\b"
)
_OURS = re.compile(
    r"[A-Z]+ on \w+ is refused: [\w ]+"
    r"|The users [0-9a-f-]{36} and [0-9a-f-]{36} have one e-mail address [\w ,:]+"
)
"""The messages of digitwin's guard triggers and migrations."""
_PARAMETER = re.compile(r"query argument \$\d+")


def scrub(fault: BaseException) -> None:
    """Remove values from a driver's exception and from those it was raised from, in place."""
    for link in list(_chain(fault)):
        if isinstance(link, asyncpg.DataError) and link.server_source_function is None:
            _scrub_unsent(link)
        elif isinstance(link, asyncpg.PostgresError):
            _scrub_server_error(link)


def statement_of(fault: BaseException) -> str | None:
    """Return the name of the statement that failed, of a scrubbed exception."""
    name: str | None = getattr(fault, "query", None)
    return name


def _chain(fault: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while fault is not None and id(fault) not in seen:
        seen.add(id(fault))
        yield fault
        fault = fault.__cause__ or fault.__context__


def _scrub_server_error(fault: asyncpg.PostgresError) -> None:
    values = fault.__dict__
    if "query" in values and not values.get("scrubbed"):
        values["query"] = _statement_name(values["query"])
    for name in type(fault)._field_map.values():
        if name not in _KEPT and name in values:
            values[name] = None
    if not _names_only(fault):
        fault.args = (f"{type(fault).__name__} (SQLSTATE {fault.sqlstate})",)
    values["scrubbed"] = True


def _names_only(fault: asyncpg.PostgresError) -> bool:
    code = fault.sqlstate or ""
    if code == "P0001":
        return _OURS.fullmatch(fault.args[0]) is not None
    return code[:2] in _NAMES_ONLY and code not in _NOT_NAMES_ONLY


def _scrub_unsent(fault: asyncpg.DataError) -> None:
    """Scrub asyncpg's own error for an argument, and drop the encoder's, which holds it too."""
    parameter = _PARAMETER.search(fault.args[0])
    fault.args = (f"invalid input for {parameter[0] if parameter else 'a query argument'}",)
    fault.__cause__ = fault.__context__ = None


def _statement_name(sql: str | None) -> str | None:
    """Return ``users.create`` for a named statement, else its first verb and table."""
    found = None
    for match in _STATEMENT.finditer(sql or ""):
        if match["name"]:
            return match["name"]
        if found is None or (match["verb"] != "FROM" and found.startswith("FROM")):
            found = f"{match['verb']} {match['table']}"
    return found.replace("FROM", "SELECT FROM", 1) if found and found[:4] == "FROM" else found
