"""The tables of the cache.

Their keys are composite, which Tortoise does not support: rows are read and written by this
package's own statements only. The models exist for Aerich.
"""

from __future__ import annotations

from typing import Any

from tortoise import fields
from tortoise.contrib.postgres.fields import ArrayField
from tortoise.fields.db_defaults import Now

from digitwin.kernel.orm.model import Model
from digitwin.kernel.primitives.ids import NOBODY


class CacheEntry(Model):
    """The common columns of the three stores."""

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
    """A vector, stored as float32 bytes."""

    value = fields.BinaryField()

    class Meta:
        table = "embedding_cache"


class CachedSearch(CacheEntry):
    """The result of a search."""

    value: fields.Field[Any] = fields.JSONField()

    class Meta:
        table = "vector_search_cache"


class CachedResponse(CacheEntry):
    """A language model's response, and how often it was served."""

    value: fields.Field[Any] = fields.JSONField()
    hit_count = fields.BigIntField(default=0)

    class Meta:
        table = "llm_response_cache"


class CacheInvalidation(Model):
    """The last invalidation of a store, a person's entries, a tag or one entry.

    ``epoch`` comes from the sequence ``cache_epoch_seq``.
    """

    store = fields.CharField(max_length=16)
    kind = fields.CharField(max_length=8)
    name = fields.CharField(max_length=512, primary_key=True)
    epoch = fields.BigIntField()
    created_at = fields.DatetimeField(db_default=Now())

    class Meta:
        table = "cache_invalidations"


class CacheUsage(Model):
    """A store's hits and misses in one hour."""

    store = fields.CharField(max_length=16)
    bucket = fields.DatetimeField(primary_key=True)
    hits = fields.BigIntField(default=0)
    misses = fields.BigIntField(default=0)

    class Meta:
        table = "cache_usage"
