"""The tables of the cache, declared."""

from digitwin.kernel.sql.tables import COUNTS, OWNER_ID, SHARED, PersonalData, Table, declare


def _store(
    table: str, title: str, value: str, *, batch: int = 20, more: dict[str, str] | None = None
) -> Table:
    return Table(
        name=table,
        rights=SHARED,
        late_writes="late.user_id::text",
        personal=PersonalData(
            title=title,
            key=("user_id", "audience", "key"),
            columns={
                **OWNER_ID,
                "audience": "who may use it: owner or visitor",
                "key": "its key",
                "value": value,
                "tags": "the tags by which it is invalidated",
                "size_bytes": "how large the value is",
                "created_at": "when it was stored",
                "expires_at": "when it expires",
                **(more or {}),
            },
            left_out={"stale_until": "until when an old value may be shown"},
            vectors=frozenset({"value"} if table == "embedding_cache" else ()),
            erasure="cache",
            batch=batch,
        ),
    )


declare(
    _store("embedding_cache", "Cached embeddings", "the numbers that stand for a text", batch=100),
    _store("vector_search_cache", "Cached searches", "what the search found"),
    _store(
        "llm_response_cache",
        "Cached responses",
        "the response",
        more={"hit_count": "how often it was used"},
    ),
    Table(
        name="cache_invalidations",
        rights=SHARED,
        holds="what was emptied when; a person appears as a hash, for a day",
        sequences=("cache_epoch_seq",),
    ),
    Table(name="cache_usage", rights=COUNTS, holds="counts by store and hour"),
)
