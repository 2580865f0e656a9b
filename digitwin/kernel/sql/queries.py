"""Named SQL: a domain's tuned statements stand in its ``queries.sql``.

A statement begins with its name and why it is there; both stay out of what is sent::

    -- name: consume
    -- One statement, so that two callers cannot take the same token.
    INSERT INTO ...
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

_NAME = re.compile(r"^-- name:[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_DESCRIPTION = re.compile(r"\s*((?:--[ \t]*\S.*(?:\n|$))+)")


@cache
def load(package: str) -> Mapping[str, str]:
    """The statements of a package's ``queries.sql`` by name, read once."""
    return MappingProxyType(parse(files(package).joinpath("queries.sql").read_text("utf-8")))


def parse(text: str) -> dict[str, str]:
    """Split named statements.

    Raises:
        ValueError: a name is malformed or taken, or its reason or its statement is missing.
    """
    _, *rest = _NAME.split(text)
    queries: dict[str, str] = {}
    for name, block in zip(rest[::2], rest[1::2], strict=True):
        if not name.isidentifier():
            raise ValueError(f"{name!r} cannot be the name of a statement")
        if name in queries:
            raise ValueError(f"statement {name!r} stands there twice")
        queries[name] = _body(name, block)
    return queries


def _body(name: str, block: str) -> str:
    description = _DESCRIPTION.match(block)
    if description is None:
        raise ValueError(f"statement {name!r} does not say why it is there")
    body = block[description.end() :].strip().removesuffix(";")
    if not body:
        raise ValueError(f"statement {name!r} is empty")
    return body
