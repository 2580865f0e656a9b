"""The tables of the cache.

Their keys have several parts, of which Tortoise knows one: rows are read and written by
this folder's own statements only. Here the tables are known to Aerich.
"""

from __future__ import annotations

from typing import Any

from tortoise import fields
from tortoise.contrib.postgres.fields import ArrayField
from tortoise.fields.db_defaults import Now

from digitwin.kernel.orm.model import Model
from digitwin.kernel.primitives.ids import NOBODY


class CacheEntry(Model):
    """What the rows of the three stores have in common."""

    user_id = fields.UUIDField(default=NOBODY)
    audience = fields.CharField(max_length=8, default="owner")
    key = fields.CharField(max_length=512, primary_key=True)
    tags: fields.Field[list[str]] = ArrayField(element_type="text", default=list)
    size_bytes = fields.IntField()
    created_at = fields.DatetimeField(db_default=Now())
    expires_at = fields.DatetimeField()
    stale_until = fields.DatetimeField(null=True)

    class Meta:
        abstract = True


class CachedEmbedding(CacheEntry):
    """A vector, as the bytes of its float32 numbers."""

    value = fields.BinaryField()

    class Meta:
        table = "embedding_cache"


class CachedSearch(CacheEntry):
    """What a search found."""

    value: fields.Field[Any] = fields.JSONField()

    class Meta:
        table = "vector_search_cache"


class CachedResponse(CacheEntry):
    """What a language model answered, and how often that was used again."""

    value: fields.Field[Any] = fields.JSONField()
    hit_count = fields.BigIntField(default=0)

    class Meta:
        table = "llm_response_cache"


class CacheInvalidation(Model):
    """When a store, a person's part of it, or a tag in it was last emptied.

    ``epoch`` is drawn from the sequence ``cache_epoch_seq``.
    """

    store = fields.CharField(max_length=16)
    kind = fields.CharField(max_length=8)
    name = fields.CharField(max_length=512, primary_key=True)
    epoch = fields.BigIntField()
    created_at = fields.DatetimeField(db_default=Now())

    class Meta:
        table = "cache_invalidations"


class CacheUsage(Model):
    """Hits and misses of a store in one hour."""

    store = fields.CharField(max_length=16)
    bucket = fields.DatetimeField(primary_key=True)
    hits = fields.BigIntField(default=0)
    misses = fields.BigIntField(default=0)

    class Meta:
        table = "cache_usage"
