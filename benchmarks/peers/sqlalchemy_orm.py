"""SQLAlchemy 2 over asyncpg: the ORM, a session for each call, as a request has it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, ForeignKeyConstraint, Text, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, selectinload

from benchmarks.peers.base import POOL, Peer, read
from digitwin import uuid7


def now() -> datetime:
    return datetime.now(UTC)


class Base(DeclarativeBase):
    type_annotation_map = {  # noqa: RUF012
        datetime: DateTime(timezone=True),
        str: Text,
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


_ADDRESSED: Any = select(User).join(UserEmail, UserEmail.user_id == User.id)


class SqlalchemyOrm(Peer):
    """Mapped objects."""

    async def open(self) -> None:
        self._engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=self.place.connect,
            pool_size=POOL,
            max_overflow=0,
        )
        self._session = async_sessionmaker(self._engine, expire_on_commit=False)

    async def close(self) -> None:
        await self._engine.dispose()

    async def user_by_email(self, user_id: UUID, email: str) -> Any:
        async with self._session() as session:
            found = _ADDRESSED.where(UserEmail.address == email, User.deleted_at.is_(None))
            return (await session.scalars(found)).one()

    async def user_get(self, user_id: UUID, email: str) -> Any:
        async with self._session() as session:
            found = select(User).where(User.id == user_id, User.deleted_at.is_(None))
            return (await session.scalars(found)).one()

    async def session_with_turns(self, user_id: UUID, session_id: UUID) -> Any:
        async with self._session() as session:
            found = (
                select(ConversationSession)
                .where(ConversationSession.id == session_id, _visible())
                .options(selectinload(ConversationSession.turns))
            )
            conversation = (await session.scalars(found)).one()
        read(conversation.turns)
        return conversation

    async def add_turn(self, user_id: UUID, session_id: UUID, turn: Any) -> Any:
        async with self._session.begin() as session:
            found = select(ConversationSession).where(
                ConversationSession.id == session_id,
                _visible(),
                ConversationSession.status == "active",
            )
            conversation = (await session.scalars(found.with_for_update())).one()
            conversation.turn_count += 1
            conversation.version += 1
            added = ConversationTurn(
                user_id=conversation.user_id,
                session_id=conversation.id,
                position=conversation.turn_count,
                user_text=turn["user_text"],
                twin_text=turn["twin_text"],
                **turn["timings"],
                **turn["usage"],
            )
            session.add(added)
        return added


def _visible() -> Any:
    """Sessions that are not deleted."""
    return ConversationSession.deleted_at.is_(None)
