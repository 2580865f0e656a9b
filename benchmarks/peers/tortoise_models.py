"""The same tables as plain Tortoise models: what one would write without digitwin."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from tortoise import fields
from tortoise.contrib.postgres.fields import ArrayField
from tortoise.models import Model

from digitwin.kernel.primitives.ids import NOBODY, uuid7


class User(Model):
    id = fields.UUIDField(primary_key=True, default=uuid7)
    email = fields.CharField(max_length=320)
    name = fields.CharField(max_length=200)
    personality_traits: fields.Field[list[str]] = fields.JSONField(default=list)
    settings: fields.Field[dict[str, Any]] = fields.JSONField(default=dict)
    subscription_tier = fields.CharField(max_length=16, default="free")
    version = fields.IntField(default=1)
    created_at = fields.DatetimeField(auto_now_add=True)
    updated_at = fields.DatetimeField(auto_now=True)
    deleted_at = fields.DatetimeField(null=True)
    deletion_id = fields.UUIDField(null=True)

    class Meta:
        table = "users"


class UserEmail(Model):
    address = fields.CharField(max_length=320, primary_key=True)
    user: fields.OneToOneRelation[User] = fields.OneToOneField(
        "rival.User", related_name="address", db_constraint=False
    )

    class Meta:
        table = "user_emails"


class ConversationSession(Model):
    id = fields.UUIDField(primary_key=True, default=uuid7)
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "rival.User", related_name="sessions", db_constraint=False
    )
    user_id: UUID
    turns: fields.ReverseRelation[ConversationTurn]
    participant_id = fields.UUIDField(null=True)
    voice_model_id = fields.UUIDField(null=True)
    face_model_id = fields.UUIDField(null=True)
    external_id = fields.CharField(max_length=200, null=True)
    status = fields.CharField(max_length=16, default="active")
    end_reason = fields.CharField(max_length=64, null=True)
    turn_count = fields.IntField(default=0)
    started_at = fields.DatetimeField(auto_now_add=True)
    ended_at = fields.DatetimeField(null=True)
    metadata: fields.Field[dict[str, Any]] = fields.JSONField(default=dict)
    version = fields.IntField(default=1)
    created_at = fields.DatetimeField(auto_now_add=True)
    updated_at = fields.DatetimeField(auto_now=True)
    deleted_at = fields.DatetimeField(null=True)
    deletion_id = fields.UUIDField(null=True)

    class Meta:
        table = "conversation_sessions"


class ConversationTurn(Model):
    id = fields.UUIDField(primary_key=True, default=uuid7)
    user_id = fields.UUIDField()
    session: fields.ForeignKeyRelation[ConversationSession] = fields.ForeignKeyField(
        "rival.ConversationSession", related_name="turns", db_constraint=False
    )
    position = fields.IntField()
    user_text = fields.TextField(null=True)
    twin_text = fields.TextField(null=True)
    heard_text = fields.TextField(null=True)
    status = fields.CharField(max_length=16, default="completed")
    asr_ms = fields.IntField(null=True)
    retrieval_ms = fields.IntField(null=True)
    llm_first_token_ms = fields.IntField(null=True)
    llm_ms = fields.IntField(null=True)
    tts_ms = fields.IntField(null=True)
    render_ms = fields.IntField(null=True)
    first_audio_ms = fields.IntField(null=True)
    total_ms = fields.IntField(null=True)
    input_tokens = fields.IntField(null=True)
    output_tokens = fields.IntField(null=True)
    idempotency_key = fields.CharField(max_length=200, null=True)
    version = fields.IntField(default=1)
    created_at = fields.DatetimeField(auto_now_add=True)
    updated_at = fields.DatetimeField(auto_now=True)

    class Meta:
        table = "conversation_turns"


class CacheEntry(Model):
    user_id = fields.UUIDField(default=NOBODY)
    audience = fields.CharField(max_length=8, default="owner")
    key = fields.CharField(max_length=512, primary_key=True)
    tags = ArrayField(element_type="text", default=list)
    size_bytes = fields.IntField()
    created_at = fields.DatetimeField(auto_now_add=True)
    expires_at = fields.DatetimeField()

    class Meta:
        abstract = True


class CachedEmbedding(CacheEntry):
    value = fields.BinaryField()

    class Meta:
        table = "embedding_cache"


class CachedResponse(CacheEntry):
    value: fields.Field[Any] = fields.JSONField()
    hit_count = fields.BigIntField(default=0)

    class Meta:
        table = "llm_response_cache"


class RateLimit(Model):
    subject = fields.CharField(max_length=200, primary_key=True)
    endpoint = fields.CharField(max_length=200)
    window_ms = fields.BigIntField()
    max_tokens = fields.FloatField()
    tokens = fields.FloatField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "rate_limits"
