"""A statement's named parameters are numbered once, and its braces filled in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

import digitwin
from digitwin.kernel.execution.opening import wire_models
from digitwin.kernel.sql.columns import columns, of_table
from digitwin.kernel.sql.queries import MAX_COMPILED, Queries, compiled, filled, parse

PACKAGE = Path(digitwin.__file__).parent
NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)


@pytest.fixture(autouse=True)
def _models() -> None:
    wire_models()


@pytest.mark.parametrize(
    ("text", "sql", "names"),
    [
        ("SELECT :a, :b, :a", "SELECT $1, $2, $1", ("a", "b")),
        ("SELECT :a::uuid", "SELECT $1::uuid", ("a",)),
        ("SELECT x::text", "SELECT x::text", ()),
        ("SELECT ':a', 'it''s :b', \":c\"", "SELECT ':a', 'it''s :b', \":c\"", ()),
        ("SELECT 1 -- not :a\n, :b", "SELECT 1 -- not :a\n, $1", ("b",)),
        (
            "SELECT $tag$:a$tag$, $$ it's :c $$, :b",
            "SELECT $tag$:a$tag$, $$ it's :c $$, $1",
            ("b",),
        ),
        ("SELECT 1 /* it's :a */, :b", "SELECT 1 /* it's :a */, $1", ("b",)),
        ("SELECT x[1:2], :b[1]", "SELECT x[1:2], $1[1]", ("b",)),
        (
            "SELECT to_char(now(), 'HH24:mi:ss'), :a",
            "SELECT to_char(now(), 'HH24:mi:ss'), $1",
            ("a",),
        ),
    ],
)
def test_parameters_are_numbered_where_they_are_parameters(
    text: str, sql: str, names: tuple[str, ...]
) -> None:
    query = compiled(text)
    assert (query.sql, query.parameters) == (sql, names)


@given(st.lists(NAMES, max_size=12))
def test_values_are_bound_in_the_order_of_the_numbers(names: list[str]) -> None:
    query = compiled("SELECT " + ", ".join(f":{name}" for name in names) if names else "SELECT 1")
    values = {name: name for name in names} | {"not_a_parameter_of_it": 0}
    assert list(query.bind(values)) == list(dict.fromkeys(names))


def test_a_missing_value_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(KeyError, match="b"):
        compiled("SELECT :a, :b").bind({"a": 1})


def test_an_audit_step_brings_its_parameters() -> None:
    query = compiled(filled("WITH done AS (SELECT 1), r AS ({audit x of users}) SELECT 1", {}))
    values = dict(zip(query.parameters, query.bind({}), strict=True))
    assert values["audit_id"].version == 7
    assert values["audit_metadata"] == "{}"
    given = query.bind({**values, "audit_id": "mine"})
    assert dict(zip(query.parameters, given, strict=True))["audit_id"] == "mine"


@pytest.mark.parametrize(
    ("sql", "writes"),
    [
        ("SELECT 1", False),
        ("SELECT id FROM users FOR UPDATE", False),
        ("INSERT INTO users VALUES (1)", True),
        ("WITH a AS (DELETE FROM users RETURNING 1) SELECT 1", True),
        ('UPDATE "users" AS u SET name = 1', True),
        ("UPDATE users\n    SET name = 1", True),
        ("INSERT INTO a SELECT 1 ON CONFLICT DO UPDATE SET b = 1", True),
        ("SELECT updated_at FROM users", False),
        ("insert\n into users VALUES (1)", True),
        ('UPDATE users AS "u" SET name = 1', True),
        ("MERGE INTO users USING x ON true WHEN MATCHED THEN DELETE", True),
    ],
)
def test_whether_a_statement_writes_is_read_from_its_verbs(sql: str, writes: bool) -> None:
    assert compiled(sql).writes is writes


def test_braces_are_filled_in_from_the_innermost() -> None:
    users = of_table("users")
    fills = {"table": "users", "condition": "{alive} AND id = :id", "alive": "deleted_at IS NULL"}
    assert filled("SELECT {columns as u} FROM {table} u WHERE {condition}", fills) == (
        f"SELECT {columns(users, 'u.')} FROM users u WHERE deleted_at IS NULL AND id = :id"
    )
    assert filled("{nulls of user_emails}", {}) == "NULL::text, NULL::UUID"
    assert filled("SELECT '{}', '{1,2}'", {}) == "SELECT '{}', '{1,2}'"


@pytest.mark.parametrize("braces", ["{riddle}", "{columns of nothing}", "{audit}"])
def test_braces_that_name_nothing_are_refused(braces: str) -> None:
    with pytest.raises(ValueError, match=r"is unknown|no model has the table"):
        filled(f"SELECT {braces}", {})


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("queries.sql")), ids=lambda f: f.parent.name)
def test_no_statement_counts_its_parameters_by_hand(file: Path) -> None:
    for name, text in parse(file.read_text("utf-8")).items():
        assert not re.search(r"\$\d", text), name


def test_a_text_given_for_a_variant_is_not_filled_in_again() -> None:
    """A column's name comes from the database, whatever braces are in it."""
    queries = Queries("digitwin.privacy")
    query = queries.variant(
        "scan", table="odd", cells="('x', held.\"note {columns} :x \x01\"::text)"
    )
    assert 'held."note {columns} :x \x01"::text' in query.sql
    assert query.parameters == ("whats", "values", "patterns")


def test_variants_do_not_gather_without_bound() -> None:
    """A page of the audit trail has its LIMIT in its text."""
    queries = Queries("digitwin.audit", table="audit_logs")
    for n in range(MAX_COMPILED + 10):
        queries.variant("page", where="", limit=str(n))
    assert len(queries._variants) <= MAX_COMPILED
