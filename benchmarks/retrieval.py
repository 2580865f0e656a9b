"""How well and how fast documents are found, on a test collection of your own.

    python benchmarks/retrieval.py FOLDER

FOLDER holds ``documents.jsonl`` (``id``, ``title``, ``text``), ``queries.jsonl`` (``id``,
``text``) and ``qrels.tsv`` (query, document and grade, separated by tabs), the form in which
the CISI collection is commonly passed on. A throw-away embedded server is used; queries
without a judgement are left out.
"""

from __future__ import annotations

import asyncio
import json
import math
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import digitwin
from digitwin.timing import Stopwatch

Judgements = dict[str, dict[str, float]]

CUT: Final = 10
DEEP: Final = 100


def lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def judgements(path: Path) -> Judgements:
    judged: Judgements = defaultdict(dict)
    for line in path.read_text("utf-8").splitlines():
        query, document, grade = line.split("\t")
        if float(grade) > 0:
            judged[query][document] = float(grade)
    return judged


def gain(grades: Sequence[float]) -> float:
    return sum((2**grade - 1) / math.log2(place + 1) for place, grade in enumerate(grades, 1))


def ndcg(found: Sequence[str], relevant: dict[str, float]) -> float:
    """Normalised discounted cumulative gain of the first ten: 1.0 is the best order there is."""
    best = sorted(relevant.values(), reverse=True)[:CUT]
    return gain([relevant.get(document, 0.0) for document in found[:CUT]]) / gain(best)


def recall(found: Sequence[str], relevant: dict[str, float]) -> float:
    """The share of the relevant documents among those found."""
    return len(relevant.keys() & set(found)) / len(relevant)


async def store(db: digitwin.Database, folder: Path) -> Any:
    owner = await db.users.create(email="owner@example.com", name="Owner")
    await db.documents.create_many(
        [
            {
                "user_id": owner.id,
                "title": document["title"].replace("\n", " ")[:500] or "Untitled",
                "content": document["text"],
                "source_uri": document["id"],
            }
            for document in lines(folder / "documents.jsonl")
        ]
    )
    return db.for_user(owner.id).documents


async def found(documents: Any, query: str, limit: int) -> list[str]:
    hits = await documents.search(query, limit=limit)
    return [hit.document.source_uri for hit in hits]


async def measure(folder: Path) -> None:
    judged = judgements(folder / "qrels.tsv")
    queries = {q["id"]: q["text"] for q in lines(folder / "queries.jsonl") if q["id"] in judged}
    quality, reach, watch = [], [], Stopwatch()
    with tempfile.TemporaryDirectory() as home:
        async with digitwin.connect(embedded="always", home=home) as db:
            documents = await store(db, folder)
            size = await documents.count()
            for id, text in queries.items():
                best = await watch.time("search", found(documents, text, CUT))
                quality.append(ndcg(best, judged[id]))
                reach.append(recall(await found(documents, text, DEEP), judged[id]))
    times = watch.times()["search"]
    print(f"documents   {size:,}\nqueries     {len(queries):,}")
    print(f"nDCG@{CUT}     {statistics.mean(quality):.3f}")
    print(f"recall@{DEEP}  {statistics.mean(reach):.3f}")
    print(f"a search    p50 {times.p50:.1f} ms, p95 {times.p95:.1f} ms")


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1], "qrels.tsv").is_file():
        sys.exit("usage: python benchmarks/retrieval.py FOLDER")
    asyncio.run(measure(Path(sys.argv[1])))
