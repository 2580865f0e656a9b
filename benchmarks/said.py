"""Measure the search over what was said: one person's turns, beside those of others.

The words are made up, as often as words of a language are (Zipf), with English stop words between
them. One person's turns are in sessions of 20, the other's in one session; each searches under row
security. The others' turns are filled in by the server, with an index row for each 20.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg

import digitwin
from benchmarks import servers
from digitwin.timing import Stopwatch

WORDS: Final = 30_000
STOP_WORDS: Final = ("the", "a", "of", "to", "and", "in", "that", "is", "was", "for", "it", "on")
SYLLABLES: Final = [a + b for a in "bdklmnrst" for b in "aeiou"]
TIMES: Final = 60
"""Searches of a kind; the first tenth does not count: plans are made in it."""
PEOPLE: Final = {"sessions of 20": UUID(int=1 << 100), "one session": UUID(int=2 << 100)}
BLOCK: Final = 500_000

OTHERS: Final = """
WITH person AS (
    INSERT INTO users (id, email, name)
    SELECT gen_random_uuid(), $1::text || '-' || n || '@example.com', 'N'
    FROM generate_series(1, greatest($2 / 10000, 1)) AS n RETURNING id
), session AS (
    INSERT INTO conversation_sessions (
        user_id, id, turn_count, status, ended_at, indexed_to, is_indexed)
    SELECT person.id, gen_random_uuid(), 20, 'ended', now(), 20, true
    FROM person, generate_series(1, 500) RETURNING user_id, id
), turn AS (
    INSERT INTO conversation_turns (
        user_id, session_id, position, id, user_text, twin_text, status, ended_at)
    SELECT user_id, id, n, gen_random_uuid(), 'what of others was said', 'and answered ' || n,
           'completed', now()
    FROM session, generate_series(1, 20) AS n
)
INSERT INTO conversation_words (
    user_id, session_id, first_position, last_position, language, first_at, last_at, words, pairs)
SELECT user_id, id, 1, 20, 'english', now(), now(), $3::tsvector, B''::bit(8192) FROM session
"""
OWN: Final = """
INSERT INTO conversation_turns (
    user_id, session_id, position, id, user_text, twin_text, status, ended_at)
SELECT $1::uuid, ($2::uuid[])[($5::int + n - 1) / $3::int + 1], ($5 + n - 1) % $3 + 1,
       gen_random_uuid(), said.a, said.b, 'completed', now()
FROM unnest($4::text[], $6::text[]) WITH ORDINALITY AS said (a, b, n)
"""


class Language:
    """Words by how often they are said, and texts of them."""

    def __init__(self) -> None:
        self._random = random.Random(1)
        made = ("".join(self._random.choices(SYLLABLES, k=n % 3 + 2)) for n in itertools.count())
        self.words = list(dict.fromkeys(itertools.islice(made, 3 * WORDS)))[:WORDS]
        self._sums = list(itertools.accumulate(1 / (n + 10) for n in range(len(self.words))))

    def text(self, length: int) -> str:
        """Words, with a stop word after each."""
        said = self._random.choices(self.words, cum_weights=self._sums, k=length)
        return " ".join(f"{word} {self._random.choice(STOP_WORDS)}" for word in said)

    def rank(self, first: int, last: int) -> str:
        """A word of so high a rank."""
        return self.words[self._random.randrange(first, last)]


def questions(language: Language, said: Sequence[str]) -> dict[str, Callable[[], str]]:
    """Return the kinds of questions, each with what makes one."""
    rank, chosen = language.rank, random.Random(2)

    def spoken(length: int) -> str:
        words = chosen.choice(said).split()
        begin = chosen.randrange(len(words) - length)
        return '"' + " ".join(words[begin : begin + length]) + '"'

    return {
        "a rare word": lambda: rank(20_000, WORDS),
        "a common word": lambda: rank(0, 20),
        "two common words": lambda: f"{rank(0, 20)} {rank(20, 60)}",
        "eight words": lambda: " ".join(rank(10**n, 3 * 10**n) for n in (0, 1, 1, 2, 2, 3, 3, 4)),
        "a phrase that was said": lambda: spoken(5),
        "a phrase of common words": lambda: f'"{rank(0, 20)} {rank(0, 20)}"',
        "no hit": lambda: f"zzz{rank(0, WORDS)}",
        "an exclusion": lambda: f"{rank(0, 20)} -{rank(0, 20)}",
    }


async def fill(url: str, turns: int, others: int, language: Language) -> list[str]:
    """Store the turns of all; return what the first person said."""
    raw = await asyncpg.connect(url)
    words = " ".join(f"{word}:{n % 20 + 1}" for n, word in enumerate(language.words[:150]))
    for begin in range(0, others, BLOCK):
        count = min(BLOCK, others - begin)
        await raw.execute(OTHERS, str(begin), count, words, timeout=600)
    said = [language.text(7) for _ in range(turns)]
    answers = [language.text(13) for _ in range(turns)]
    for name, person in PEOPLE.items():
        email = f"{person}@example.com"
        await raw.execute("INSERT INTO users (id, email, name) VALUES ($1, $2, 'N')", person, email)
        length = 20 if name == "sessions of 20" else turns
        ids = await raw.fetchval(
            "WITH s AS (INSERT INTO conversation_sessions"
            " (user_id, id, turn_count, status, ended_at)"
            " SELECT $1, gen_random_uuid(), $2, 'ended', now() FROM generate_series(1, $3)"
            " RETURNING id) SELECT array_agg(id) FROM s",
            *(person, length, turns // length),
        )
        for begin in range(0, turns, 10_000):
            part = slice(begin, begin + 10_000)
            await raw.execute(OWN, person, ids, length, said[part], begin, answers[part])
    await raw.execute("VACUUM ANALYZE", timeout=600)
    await raw.close()
    return said


async def measure(url: str, turns: int, others: int) -> None:
    language = Language()
    async with digitwin.connect(url, migrate="auto") as db:
        said = await fill(url, turns, others, language)
        watch = Stopwatch()
        report = await watch.time("index", db.maintain())
        seconds = watch.times()["index"].p50 / 1000
        print(f"indexed {report.turns_indexed:,} turns, {report.turns_indexed / seconds:,.0f}/s")
        for name, person in PEOPLE.items():
            print(f"{turns:,} turns in {name}, beside {others:,} of others: p50, p95 in ms")
            for kind, ask in questions(language, said).items():
                times = await timed(db.for_user(person), ask)
                print(f"  {kind:26}{times.p50:7.1f}{times.p95:7.1f}", flush=True)


async def timed(scope: Any, ask: Callable[[], str]) -> Any:
    watch = Stopwatch()
    for n in range(TIMES):
        step = "warm" if n < TIMES // 10 else "search"
        await watch.time(step, scope.sessions.search(ask()))
    return watch.times()["search"]


def main(arguments: Sequence[str] = sys.argv[1:]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.said", description=__doc__)
    parser.add_argument("--turns", type=int, default=100_000, help="of each person; in twenties")
    parser.add_argument("--others", type=int, default=1_000_000, help="turns of others")
    chosen = parser.parse_args(arguments)
    with servers.embedded() as url:
        asyncio.run(measure(url, chosen.turns, chosen.others))
    return 0


if __name__ == "__main__":
    sys.exit(main())
