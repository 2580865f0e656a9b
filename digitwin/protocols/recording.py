"""What a pipeline tells while a conversation goes on: see :class:`~digitwin.TurnRecorder`."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol, TypedDict, Unpack
from uuid import UUID

from digitwin.conversations.content.fields import ItemKind, UsageFigures, UsageKind
from digitwin.conversations.recorder.inputs import EndStatus
from digitwin.protocols.entities import Id


class Moment(TypedDict, total=False):
    """When something happened, and in which turn; now, and in the open one, unless given."""

    at: datetime | None
    turn_id: Id | None


class Utterance(Moment, total=False):
    """Who said it, in which language."""

    language: str | None
    participant_id: Id | None


class Call(Moment, total=False):
    """The framework's own id of an item."""

    item_id: str | None


class UsageLabels(UsageFigures, total=False):
    """What a request to a provider was, and its figures."""

    provider: str | None
    model: str | None
    request_id: str | None
    used_at: datetime | None
    turn_id: Id | None


class Recorder(Protocol):
    """What is said in a conversation, and what happens besides; no call waits."""

    @property
    def session_id(self) -> UUID: ...
    @property
    def turn_id(self) -> UUID | None: ...
    def user_text(self, text: str, **of: Unpack[Utterance]) -> None: ...
    def twin_text(self, delta: str, **of: Unpack[Moment]) -> None: ...
    def heard(self, text: str, *, basis: str | None = None, turn_id: Id | None = None) -> None: ...
    def interrupted(
        self, *, heard: str | None = None, at: datetime | None = None, turn_id: Id | None = None
    ) -> None: ...
    def resumed(self, *, turn_id: Id | None = None) -> None: ...
    def turn_done(
        self,
        *,
        status: EndStatus = "completed",
        at: datetime | None = None,
        turn_id: Id | None = None,
    ) -> None: ...
    def stage(self, stage: str, ms: float | None, *, turn_id: Id | None = None) -> None: ...
    def tool_call(
        self,
        name: str,
        arguments: Any = None,
        *,
        call_id: str | None = None,
        **of: Unpack[Call],
    ) -> str: ...
    def tool_result(
        self,
        call_id: str,
        result: Any = None,
        *,
        is_error: bool = False,
        name: str | None = None,
        **of: Unpack[Call],
    ) -> None: ...
    def item(
        self,
        kind: ItemKind,
        payload: Any = None,
        *,
        name: str | None = None,
        turn_id: Id | None = None,
    ) -> None: ...
    def source(
        self,
        document_id: Id | None = None,
        *,
        passage: str | None = None,
        score: float | None = None,
        quote: str | None = None,
        turn_id: Id | None = None,
    ) -> None: ...
    def usage(self, *, kind: UsageKind, **request: Unpack[UsageLabels]) -> None: ...
    async def room(self) -> None: ...
    async def drain(self, timeout: float | None = None) -> bool: ...
