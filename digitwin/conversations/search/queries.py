"""The named queries of the search, and of its index."""

from __future__ import annotations

from functools import cache
from typing import Final

from digitwin.kernel.search import words
from digitwin.kernel.sql.queries import Queries, Query

TURNS_PER_ROW: Final = 28
"""Turns of a row of the index: of 16 each search took half as long again, of 64 three times as
long, since a row no longer fits a page."""
PAIR_BITS: Final = 2**13
"""Bits of a row's Bloom filter of words that follow each other. Two bits are set for each pair:
of 28 turns with 20 such pairs each, one pair in 60 is taken for one that is there."""
HEADLINE_FROM: Final = 10_000
"""Leading characters of a text in which words are marked; bounds the time of it."""
_BETWEEN: Final = "xqzxqzx"
"""Nobody says it."""


def _marked(column: str) -> str:
    beginning = f"(SELECT left(turn.{column}, {HEADLINE_FROM}) AS said) AS beginning"
    text = f"(SELECT {words.plain('said')} FROM {beginning})"
    return (
        f"ts_headline(('pg_catalog.' || turn.language)::regconfig, {text}, asked.marked,"
        " 'HighlightAll=true, StartSel=«, StopSel=»')"
    )


def _bits_of(pair: str) -> str:
    """Return the SQL of a pair's bits, from the SQL of its words with a space between them."""
    of_hash = f"(SELECT hashtextextended({pair}, 0) AS hash OFFSET 0) AS pair"
    bits = " | ".join(
        f"'1'::bit({PAIR_BITS}) >> (hash >> {shift} & {PAIR_BITS - 1})::int" for shift in (0, 32)
    )
    return f"(SELECT {bits} FROM {of_hash})"


QUERIES = Queries(
    __package__,
    table="conversation_sessions",
    between=_BETWEEN,
    configuration=words.configuration("turn.language"),
    default=words.DEFAULT,
    plain=words.plain("said"),
    turns_per_row=str(TURNS_PER_ROW),
    no_pairs=f"B''::bit({PAIR_BITS})",
    bits_of_asked=_bits_of("pair"),
    bits_of_pair=_bits_of("lexeme || ' ' || following"),
    marked_user_text=_marked("user_text"),
    marked_answer=_marked("answer"),
)


WIDTHS: Final = (1, 2, 4, 8, 16, 32)
"""How many words a statement is made for: a few statements in place of one for each number."""


def _bits(vector: str, ways: str, width: int) -> str:
    """Return the SQL of a number with a bit for each word that a vector has."""
    bits = (
        f"CASE WHEN {vector} @@ asked.{ways}{n} THEN {1 << n}::bigint ELSE 0 END"
        for n in range(width)
    )
    return f"({' + '.join(bits)})"


def _score(words: str, width: int) -> str:
    """Return the SQL of the sum of the words' weights."""
    return " + ".join(
        f"CASE WHEN {words} & {1 << n} <> 0 THEN weight.of_word[{n + 1}] ELSE 0 END"
        for n in range(width)
    )


@cache
def searching(
    width: int, *, by_participant: bool, by_session: bool, in_order: bool, newest: bool
) -> Query:
    """Return the search in the variant for so many words, these filters and this order.

    Args:
        width: one of :data:`WIDTHS`.
        in_order: rows are read newest first, until there are enough hits.
        newest: hits come newest first, not by their score.
    """
    conditions = {
        "by_participant": " AND participant_id = :participant_id" if by_participant else "",
        "by_session": " AND id = :session_id" if by_session else "",
    }
    limited = by_participant or by_session
    ways = [f"{way}{n}" for way in ("together", "present") for n in range(width)]
    best = f"is_whole DESC, {_score('block.words', width)} DESC, last_at DESC"
    return QUERIES.variant(
        "search",
        within=QUERIES.text("within", **conditions) if limited else "",
        rows=QUERIES.text("rows_within" if limited else "all_rows"),
        fresh_within=" AND session.id IN (SELECT id FROM within)" if limited else "",
        width=str(width),
        word_arrays=", ".join(f":{way}::text[]" for way in ways),
        word_names=", ".join(ways),
        word_columns=", ".join(f"{way}::tsquery" for way in ways),
        is_whole="b.words @@ asked.whole" if width > 1 and not in_order else "true",
        words_of_row=_bits("b.words", "together", width),
        words_of_turn=_bits("said", "present", width),
        words_of_fresh=_bits("vector", "present", width),
        score_of_turn=_score("turn.words", width),
        score_of_fresh=_score("fresh.words", width),
        order_of_rows="last_at DESC" if in_order else best,
        order_of_turns=""
        if in_order
        else "ORDER BY score DESC, last_at DESC, position DESC OFFSET 0",
        order="at DESC, position DESC" if newest else "score DESC, at DESC, position DESC",
    )
