"""The calls by which a pipeline tells a recorder what happens besides speech; none waits."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from typing_extensions import Unpack

from digitwin.conversations.content.fields import (
    USAGE,
    USAGE_FIGURES,
    ItemKind,
    UsageFigures,
    UsageKind,
)
from digitwin.conversations.figures import figures
from digitwin.conversations.living.writes import SourceWrite, UsageWrite
from digitwin.conversations.recorder import inputs
from digitwin.conversations.recorder.script import Event
from digitwin.conversations.recorder.speech_calls import (
    OVERHEAD,
    SpeechCalls,
    optional_id,
    size_of,
)
from digitwin.errors import InvalidInputError
from digitwin.kernel.primitives.ids import uuid7
from digitwin.kernel.primitives.validation import Id, validate


class RecorderCalls(SpeechCalls):
    """What happens in a turn besides speech, or in the session alone. Errors as its base's."""

    def tool_call(
        self,
        name: str,
        arguments: Any = None,
        *,
        call_id: str | None = None,
        item_id: str | None = None,
        at: datetime | None = None,
        turn_id: Id | None = None,
    ) -> str:
        """Add a call of a tool to the open turn, else to the session.

        Args:
            name: of the tool, up to 200 characters.
            arguments: any JSON value, up to 1 MiB.
            call_id: what its result will name; made if it is left out.
            item_id: the caller's own id, unique in the session: a repeated item is stored once.

        Returns:
            The ``call_id``.
        """
        call_id = str(uuid7()) if call_id is None else inputs.name(call_id, "call_id")
        labels = _labels(item_id=item_id)
        tool, target, when = (
            inputs.name(name, "name"),
            optional_id(turn_id, "turn_id"),
            self._time(at),
        )
        given, size = inputs.payload(arguments, "arguments")
        self._take(
            lambda: self._script.tool_call(
                target, when, call_id=call_id, name=tool, payload={"arguments": given}, **labels
            ),
            OVERHEAD + size,
        )
        return call_id

    def tool_result(
        self,
        call_id: str,
        result: Any = None,
        *,
        is_error: bool = False,
        name: str | None = None,
        item_id: str | None = None,
        at: datetime | None = None,
        turn_id: Id | None = None,
    ) -> None:
        """Add what a tool answered, to the turn of its call.

        Args:
            call_id: of the call.
            result: any JSON value, up to 1 MiB.
            is_error: whether the tool failed.
            name: of the tool; that of the call unless given.
            item_id: as in :meth:`tool_call`.
        """
        call_id, labels = (
            inputs.name(call_id, "call_id"),
            _labels(name=name, item_id=item_id, is_error=is_error),
        )
        target, when = optional_id(turn_id, "turn_id"), self._time(at)
        given, size = inputs.payload(result, "result")
        labels.setdefault("name", None)
        self._take(
            lambda: self._script.tool_result(
                target, when, call_id=call_id, payload={"result": given}, **labels
            ),
            OVERHEAD + size,
        )

    def item(
        self,
        kind: ItemKind,
        payload: Any = None,
        *,
        name: str | None = None,
        call_id: str | None = None,
        item_id: str | None = None,
        is_error: bool = False,
        started_at: datetime | None = None,
        ended_at: datetime | None = None,
        turn_id: Id | None = None,
    ) -> None:
        """Add another item to the open turn, else to the session.

        Args:
            kind: message, handoff (``name`` is whom it is handed to), reasoning, image, audio,
                file or custom; also tool_call and tool_result, which need a ``call_id``.
            payload: a JSON object, up to 1 MiB.
            item_id: as in :meth:`tool_call`.
            started_at: when it began; now unless given.
        """
        labels = _labels(
            kind=kind,
            name=name,
            call_id=call_id,
            item_id=item_id,
            is_error=is_error,
            started_at=started_at,
            ended_at=ended_at,
        )
        labels["started_at"] = labels["started_at"] or self._time(None)
        if labels["kind"].startswith("tool_") and call_id is None:
            raise InvalidInputError("call_id is missing", field="call_id")
        given, size = inputs.payload({} if payload is None else payload, "payload")
        if type(given) is not dict:
            raise InvalidInputError("payload must be a dict", field="payload")
        target = optional_id(turn_id, "turn_id")
        self._take(lambda: self._script.item(target, payload=given, **labels), OVERHEAD + size)

    def source(
        self,
        document_id: Id | None = None,
        *,
        passage: str | None = None,
        score: float | None = None,
        quote: str | None = None,
        turn_id: Id | None = None,
    ) -> None:
        """Note what the answer of the open turn, else of the last one, was made from.

        Args:
            document_id: a document of the twin's owner.
            passage: the place in it, up to 200 characters.
            score: how well it fitted.
            quote: what was quoted, up to 100,000 characters.

        Raises:
            InvalidStateError: there is no turn yet.
        """
        given = {"document_id": document_id, "passage": passage, "score": score, "quote": quote}
        fields = validate(inputs.SOURCE, given)
        target = self._script.turn_for(optional_id(turn_id, "turn_id"))
        source = SourceWrite(turn_id=target, **fields)  # type: ignore[arg-type]
        self._take(lambda: [source], size_of(source.quote or ""))

    def usage(
        self,
        *,
        kind: UsageKind,
        provider: str | None = None,
        model: str | None = None,
        request_id: str | None = None,
        used_at: datetime | None = None,
        turn_id: Id | None = None,
        **counts: Unpack[UsageFigures],
    ) -> None:
        """Note what a request to a provider cost, in the open turn or in none.

        Args:
            kind: llm, stt, tts, avatar or embedding.
            provider: up to 100 characters.
            model: up to 200 characters.
            request_id: the provider's id; a second record of this kind with it is not stored.
            used_at: when; now unless given.
            **counts: see :class:`~digitwin.conversations.content.fields.UsageFigures`.
        """
        labels = validate(
            USAGE,
            {
                "kind": kind,
                "provider": provider,
                "model": model,
                "request_id": request_id,
                "used_at": used_at,
            },
        )
        labels["used_at"] = labels["used_at"] or self._time(None)
        known, extra = figures(counts, USAGE_FIGURES, "usage")
        target = optional_id(turn_id, "turn_id")

        def events() -> list[Event]:
            about = target or self._script.open_id
            return [UsageWrite(turn_id=about, figures=known, extra=extra or None, **labels)]

        self._take(events, OVERHEAD)


def _labels(**values: Any) -> dict[str, Any]:
    labels: Any = validate(inputs.ITEM, values)
    return dict(labels)
