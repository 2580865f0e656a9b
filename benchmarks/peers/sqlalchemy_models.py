"""The same tables as SQLAlchemy's mapped classes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from advanced_alchemy.base import CommonTableAttributes
from sqlalchemy import BigInteger, DateTime, ForeignKey, ForeignKeyConstraint, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from digitwin.kernel.primitives.ids import NOBODY, uuid7


def now() -> datetime:
    return datetime.now(UTC)


class Base(CommonTableAttributes, DeclarativeBase):
    """Advanced-alchemy asks for its own attributes; they cost nothing where it is not used."""

    type_annotation_map = {  # noqa: RUF012
        datetime: DateTime(timezone=True),
        str: Text,
        list[str]: ARRAY(Text),
        dict[str, Any]: JSONB,
        list[Any]: JSONB,
    }


class User(Base):
    __tablename__ = "users"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    email: Mapped[str]
    name: Mapped[str]
    personality_traits: Mapped[list[Any]] = mapped_column(default=list)
    settings: Mapped[dict[str, Any]] = mapped_column(default=dict)
    subscription_tier: Mapped[str] = mapped_column(default="free")
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)
    deleted_at: Mapped[datetime | None]
    deletion_id: Mapped[UUID | None]


class UserEmail(Base):
    __tablename__ = "user_emails"
    address: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))


class ConversationSession(Base):
    __tablename__ = "conversation_sessions"
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    participant_id: Mapped[UUID | None]
    voice_model_id: Mapped[UUID | None]
    face_model_id: Mapped[UUID | None]
    external_id: Mapped[str | None]
    status: Mapped[str] = mapped_column(default="active")
    end_reason: Mapped[str | None]
    turn_count: Mapped[int] = mapped_column(default=0)
    started_at: Mapped[datetime] = mapped_column(default=now)
    ended_at: Mapped[datetime | None]
    # the attribute's own name belongs to SQLAlchemy
    session_metadata: Mapped[dict[str, Any]] = mapped_column("metadata", default=dict)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)
    deleted_at: Mapped[datetime | None]
    deletion_id: Mapped[UUID | None]
    turns: Mapped[list[ConversationTurn]] = relationship(order_by="ConversationTurn.position")


class ConversationTurn(Base):
    __tablename__ = "conversation_turns"
    __table_args__ = (
        ForeignKeyConstraint(
            ["user_id", "session_id"],
            ["conversation_sessions.user_id", "conversation_sessions.id"],
        ),
    )
    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    session_id: Mapped[UUID] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(default=uuid7)
    user_text: Mapped[str | None]
    twin_text: Mapped[str | None]
    heard_text: Mapped[str | None]
    status: Mapped[str] = mapped_column(default="completed")
    asr_ms: Mapped[int | None]
    retrieval_ms: Mapped[int | None]
    llm_first_token_ms: Mapped[int | None]
    llm_ms: Mapped[int | None]
    tts_ms: Mapped[int | None]
    render_ms: Mapped[int | None]
    first_audio_ms: Mapped[int | None]
    total_ms: Mapped[int | None]
    input_tokens: Mapped[int | None]
    output_tokens: Mapped[int | None]
    idempotency_key: Mapped[str | None]
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)


class CacheEntry(Base):
    __abstract__ = True
    user_id: Mapped[UUID] = mapped_column(primary_key=True, default=NOBODY)
    audience: Mapped[str] = mapped_column(primary_key=True, default="owner")
    key: Mapped[str] = mapped_column(primary_key=True)
    tags: Mapped[list[str]] = mapped_column(default=list)
    size_bytes: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]


class CachedEmbedding(CacheEntry):
    __tablename__ = "embedding_cache"
    value: Mapped[bytes]


class CachedResponse(CacheEntry):
    __tablename__ = "llm_response_cache"
    value: Mapped[Any] = mapped_column(JSON)
    hit_count: Mapped[int] = mapped_column(BigInteger, default=0)


class RateLimit(Base):
    __tablename__ = "rate_limits"
    subject: Mapped[str] = mapped_column(primary_key=True)
    endpoint: Mapped[str] = mapped_column(primary_key=True)
    window_ms: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    max_tokens: Mapped[float]
    tokens: Mapped[float]
    updated_at: Mapped[datetime]
