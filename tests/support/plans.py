"""What the planner does with a statement, in a database that is filled once and then only read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg

from digitwin.connecting import connect
from digitwin.database import Database
from digitwin.kernel.sql.queries import Query
from digitwin.testing.databases import Databases

Node = dict[str, Any]
Step = str | Callable[[Database], Awaitable[None]]
"""A statement, or what a handle does."""


@contextmanager
def filled(databases: Databases, *steps: Step) -> Iterator[str]:
    """The URL of a database after these steps.

    A module's `digitwin_url` of it serves all its tests, by `raw` and by `digitwin_db`.
    """
    database = databases.create()
    asyncio.run(_fill(database.url, steps))
    yield database.url
    databases.drop(database)


async def _fill(url: str, steps: tuple[Step, ...]) -> None:
    async with connect(url, migrate="skip") as db:
        connection = await asyncpg.connect(url)
        for step in steps:
            await (connection.execute(step) if isinstance(step, str) else step(db))
        await connection.close()


async def explain(
    connection: asyncpg.Connection, query: Query | str, *args: Any, **values: Any
) -> list[Node]:
    """Return every node of the plan for these values."""
    if isinstance(query, Query):
        query, args = query.sql, tuple(query.bind(values))
    return _nodes(await connection.fetchval(f"EXPLAIN (FORMAT JSON) {query}", *args))


async def explain_generic(connection: asyncpg.Connection, query: Query | str) -> list[Node]:
    """Return every node of the plan for any values: that of a statement prepared long ago."""
    sql = query.sql if isinstance(query, Query) else query
    async with connection.transaction():
        await connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        await connection.execute(f"PREPARE asked AS {sql}")
        count = await connection.fetchval(
            "SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = 'asked'"
        )
        values = f"({', '.join(['NULL'] * count)})" if count else ""
        plan = await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE asked{values}")
        await connection.execute("DEALLOCATE asked")
    return _nodes(plan)


def _nodes(plan: str) -> list[Node]:
    return list(_walk(json.loads(plan)[0]["Plan"]))


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for child in node.get("Plans", ()):
        yield from _walk(child)


def described(nodes: list[Node]) -> list[str]:
    """Return a line for each node, such as ``Seq Scan on users``."""
    return [f"{node['Node Type']} on {node.get('Relation Name', '-')}" for node in nodes]


def scans_of(nodes: list[Node], table: str) -> list[Node]:
    """Return the nodes that read a table or one of its indexes."""
    return [node for node in nodes if node["Node Type"].endswith("Scan") and _reads(node, table)]


def _reads(node: Node, table: str) -> bool:
    return table in (node.get("Relation Name") or node.get("Index Name", ""))


def kinds(nodes: list[Node]) -> set[str]:
    return {node["Node Type"] for node in nodes}


def indexes(nodes: list[Node]) -> set[str]:
    return {node["Index Name"] for node in nodes if "Index Name" in node}
