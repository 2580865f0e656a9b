"""Named queries: a domain's tuned statements are in its ``queries.sql``.

A statement starts with its name and its reason; neither is sent. Named parameters are compiled
once to PostgreSQL's ``$n``::

    -- name: by_email
    -- One index lookup for the address, one for the user.
    SELECT {columns as u} FROM user_emails e JOIN users u ON u.id = e.user_id
    WHERE e.address = :address

Before that, braces are replaced:

=============================  ===============================================================
``{columns}``                  the columns of the default table
``{columns of T as t}``        the columns of another table, with an alias
``{nulls of T}``               a typed NULL for each of its columns
``{compact of T}``             the columns of a row that is read beside its parent
``{compact nulls of T}``       a typed NULL for each of these
``{audit VERB}``               the audit step: a record of what the step ``done`` changed
``{audit VERB of T many}``     the same for another table, or for several rows
``{word}``                     a value given in Python, else the statement of that name
=============================  ===============================================================
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from operator import itemgetter
from types import MappingProxyType
from typing import Any

from digitwin.kernel.sql import audit_step
from digitwin.kernel.sql.columns import columns, compact, compact_nulls, nulls, of_table

_NAME = re.compile(r"^-- name:[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_DESCRIPTION = re.compile(r"\s*((?:--[ \t]*\S.*(?:\n|$))+)")
_BRACES = re.compile(r"\{([a-z_][^{}']*)\}")
_LIST = re.compile(r"(columns|nulls|compact nulls|compact)(?: of (\w+))?(?: as (\w+))?")
_LISTS = {"nulls": nulls, "compact": compact, "compact nulls": compact_nulls}
_AUDIT = re.compile(r"audit (\w+)(?: of (\w+))?( many)?")
_PARAMETER = re.compile(
    r"'(?:[^']|'')*'|\"[^\"]*\"|--[^\n]*|/\*.*?\*/|(?P<tag>\$\w*\$).*?(?P=tag)|::"
    r"|(?<![\w:]):(?P<name>[a-z_]\w*)",
    re.DOTALL,
)
_WRITES = re.compile(
    r"\b(INSERT\s+INTO|DELETE\s+FROM|MERGE\s+INTO|UPDATE\s+\S+\s+(AS\s+)?(\S+\s+)?SET)\b",
    re.IGNORECASE,
)

_MASK = str.maketrans("{}", "\ud800\ud801")
_UNMASK = str.maketrans("\ud800\ud801", "{}")
"""Lone surrogates stand for braces meanwhile: no text of PostgreSQL's can hold one."""

MAX_COMPILED = 4096
"""Statements kept compiled; a page's LIMIT is part of its statement, so there may be many."""


@dataclass(frozen=True, slots=True)
class Query:
    """A compiled statement with named parameters."""

    sql: str
    """The SQL that is sent: ``$1``, ``$2``, … in the order of ``parameters``."""
    parameters: tuple[str, ...]
    writes: bool
    """Whether it changes rows: if its reply is lost, the outcome is unknown."""
    is_audited: bool
    """Whether it records what it changed."""
    _pick: Callable[[Mapping[str, Any]], Sequence[Any]]

    def bind(self, values: Mapping[str, Any]) -> Sequence[Any]:
        """Return the values in the order of the parameters; adds an audit step's if missing.

        Raises:
            KeyError: a parameter has no value.
        """
        if self.is_audited and "audit_id" not in values:
            values = {**values, **audit_step.parameters()}
        return self._pick(values)


@lru_cache(MAX_COMPILED)
def compiled(text: str, after: int = 0) -> Query:
    """Compile ``:name`` parameters to ``$n``; equal names share a number.

    Args:
        after: how many parameters the text has numbered itself; the named ones come after them.
    """
    numbers: dict[str, int] = {}

    def numbered(match: re.Match[str]) -> str:
        name = match["name"]
        return (
            match[0] if name is None else f"${numbers.setdefault(name, after + len(numbers) + 1)}"
        )

    sql = _PARAMETER.sub(numbered, text)
    names = tuple(numbers)
    return Query(sql, names, writes_rows(sql), "audit_id" in numbers, _picker(names))


def _picker(names: tuple[str, ...]) -> Callable[[Mapping[str, Any]], Sequence[Any]]:
    """Picks values by name; for several names in C, since every call binds."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda values: [values[name] for name in names]


@lru_cache(MAX_COMPILED)
def writes_rows(sql: str) -> bool:
    """Return whether a statement changes rows, judged by its verbs."""
    return _WRITES.search(sql) is not None


class Queries(dict[str, Query]):
    """The named queries of one package, compiled at first use.

    Args:
        package: contains ``queries.sql``.
        **fills: texts for braces in every query; ``table`` is the default table.
    """

    def __init__(self, package: str, **fills: str) -> None:
        super().__init__()
        self._package = package.rpartition(".")[2]
        self._texts = load(package)
        self._fills = fills
        self._variants: dict[tuple[str, tuple[tuple[str, str], ...]], Query] = {}

    def __missing__(self, name: str) -> Query:
        query = self[name] = self.variant(name)
        return query

    def variant(self, name: str, **fills: str) -> Query:
        """Return a query some of whose braces are filled differently from call to call.

        The texts become part of the statement as they are: braces in them are not filled, and
        they must not contain user input.
        """
        key = name, tuple(fills.items())
        query = self._variants.get(key)
        if query is None:
            if len(self._variants) >= MAX_COMPILED:
                self._variants.clear()
            given = {word: text.translate(_MASK) for word, text in fills.items()}
            text = filled(self._texts[name], {**self._texts, **self._fills, **given})
            name = f" /* {self._package}.{name} */"  # for errors, and for the server's statistics
            query = self._variants[key] = compiled(text.translate(_UNMASK) + name)
        return query

    def text(self, name: str, **fills: str) -> str:
        """Return the text of a query, or of a part of one, to fill a brace of another."""
        return filled(self._texts[name], {**self._texts, **self._fills, **fills})


def filled(text: str, fills: Mapping[str, str]) -> str:
    """Replace the braces of a statement, innermost first.

    Raises:
        ValueError: a name in braces is unknown.
    """
    while (replaced := _BRACES.sub(lambda match: _fill(match[1], fills), text)) != text:
        text = replaced
    return text


def _fill(braces: str, fills: Mapping[str, str]) -> str:
    if braces in fills:
        return fills[braces]
    if listed := _LIST.fullmatch(braces):
        what, table, alias = listed.groups()
        model = of_table(table or fills["table"])
        if what == "columns":
            return columns(model, f"{alias}." if alias else "")
        return _LISTS[what](model)
    if step := _AUDIT.fullmatch(braces):
        verb, table, many = step.groups()
        return audit_step.insert(of_table(table or fills["table"]), verb, many=bool(many))
    raise ValueError(f"{{{braces}}} is unknown")


@cache
def load(package: str) -> Mapping[str, str]:
    """Read the statements of a package's ``queries.sql`` by name; cached."""
    return MappingProxyType(parse(files(package).joinpath("queries.sql").read_text("utf-8")))


def parse(text: str) -> dict[str, str]:
    """Split a file into its named statements.

    Raises:
        ValueError: a name is malformed or duplicate, or a reason or a statement is missing.
    """
    _, *rest = _NAME.split(text)
    queries: dict[str, str] = {}
    for name, block in zip(rest[::2], rest[1::2], strict=True):
        if not name.isidentifier():
            raise ValueError(f"{name!r} is not a valid statement name")
        if name in queries:
            raise ValueError(f"statement {name!r} is defined twice")
        queries[name] = _body(name, block)
    return queries


def _body(name: str, block: str) -> str:
    description = _DESCRIPTION.match(block)
    if description is None:
        raise ValueError(f"statement {name!r} has no reason")
    body = block[description.end() :].strip().removesuffix(";")
    if not body:
        raise ValueError(f"statement {name!r} is empty")
    return body
