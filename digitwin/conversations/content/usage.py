"""What a session cost: records of requests to providers, and their totals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from typing_extensions import Unpack

from digitwin.conversations.content.fields import (
    GROUPS_ASKED,
    TIME_ZONE,
    USAGE,
    USAGE_FIGURES,
    UsageFigures,
    UsageGroup,
    UsageKind,
)
from digitwin.conversations.content.queries import for_session, totals_query
from digitwin.conversations.content.totals import UsageTotals
from digitwin.conversations.contents import UsageRecord
from digitwin.conversations.figures import figures
from digitwin.conversations.session_methods import SessionMethods
from digitwin.errors import InvalidInputError, NotFoundError
from digitwin.kernel.execution.operations import operation
from digitwin.kernel.orm.hydration import hydrate
from digitwin.kernel.primitives.ids import parse_id, uuid7
from digitwin.kernel.primitives.iterables import listed
from digitwin.kernel.primitives.validation import PERIOD, Id, dumps, validate

MAX_GROUPS = 10_000
"""Rows of totals; what has more is asked for in parts."""


class SessionUsage(SessionMethods):
    """The methods of the session repository that concern usage."""

    @operation
    async def add_usage(
        self,
        *,
        session_id: Id,
        kind: UsageKind,
        turn_id: Id | None = None,
        model: str | None = None,
        provider: str | None = None,
        request_id: str | None = None,
        used_at: datetime | None = None,
        user_id: Id | None = None,
        **counts: Unpack[UsageFigures],
    ) -> UsageRecord:
        """Store what one request to a provider cost; atomic, one round trip.

        Accepted after the session's end too, since costs arrive late. Records add up: two
        without a ``request_id`` are two requests. With one, a repeated call stores nothing and
        returns the first record whatever the repeat contains, also when both run concurrently.

        Args:
            kind: llm, stt, tts, avatar or embedding.
            turn_id: a turn of the session; None for work in no turn.
            request_id: the provider's id of the request, unique for session and kind.
            used_at: when it was used; now by the database clock unless given.
            user_id: the session's owner; saves a lookup.
            **counts: see :class:`UsageFigures`.

        Returns:
            The stored record.

        Raises:
            InvalidInputError: names the invalid field; an odd count is no error.
            NotFoundError: the session does not exist, or not for this owner, or has no such
                turn; names the field.
        """
        labels: dict[str, Any] = {"kind": kind, "provider": provider, "model": model}
        labels |= {"request_id": request_id, "used_at": used_at}
        valid: Any = validate(USAGE, labels)
        values = {
            **valid,
            **_counts(counts),
            "id": uuid7(),
            "turn_id": None if turn_id is None else parse_id(turn_id, "turn_id"),
        }
        key = self._session_key(session_id, user_id)
        query = for_session("add_usage", key["user_id"])
        record = await self._core.db.fetchrow(query, **key, **values)
        if record is None:
            await self._refuse_missing(key, values["turn_id"])
            record = await self._core.db.fetchrow(query, **key, **values)
        if record is None:
            raise self._missing(key["session_id"])
        return hydrate(UsageRecord, record, self._core.origin)

    @operation
    async def usage_totals(
        self,
        *,
        user_id: Id | None = None,
        session_id: Id | None = None,
        participant_id: Id | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        by: Sequence[UsageGroup] = ("model", "day"),
        time_zone: str = "UTC",
    ) -> list[UsageTotals]:
        """Add up usage records in groups; one statement, one snapshot.

        Token counts given as ``usage`` of a turn name no model and are no records:
        :meth:`statistics` adds both.

        Args:
            user_id: only this owner's sessions; if unset, those of the scope, else all.
            session_id: only this session.
            participant_id: only sessions with this participant.
            since: only what was used at this moment or later.
            until: only what was used before this moment.
            by: what makes a group: any of user_id, session_id, participant_id, kind, provider,
                model and day. Empty: one total.
            time_zone: in which a day begins, such as ``Europe/Berlin``.

        Returns:
            The groups, at most 10,000, ordered by their keys as listed in ``by``.

        Raises:
            InvalidInputError: names the invalid argument, or there are more groups.
            NotFoundError: ``session_id`` does not exist, or not for this owner.
        """
        groups = _groups(by)
        conditions: dict[str, Any] = {
            "user_id": self._owner(user_id),
            "session_id": None if session_id is None else parse_id(session_id, "session_id"),
            "participant_id": (
                None if participant_id is None else parse_id(participant_id, "participant_id")
            ),
        }
        period: Any = validate(PERIOD, {"since": since, "until": until})
        given = {
            name: value for name, value in {**conditions, **period}.items() if value is not None
        }
        zone = _known_zone(validate(TIME_ZONE, time_zone, "time_zone"))
        records = await self._core.db.fetch(
            totals_query(groups, tuple(given)), **given, time_zone=zone, limit=MAX_GROUPS + 1
        )
        if len(records) > MAX_GROUPS:
            raise InvalidInputError(
                f"by makes more than {MAX_GROUPS:,} groups: ask for a shorter period",
                field="by",
                limit=MAX_GROUPS,
            )
        if session_id is not None and not any(record["records"] for record in records):
            await self._refuse_missing(self._session_key(session_id, user_id), None)
        return [UsageTotals.from_record(record) for record in records]

    async def _refuse_missing(self, key: Mapping[str, Any], turn_id: object) -> None:
        """Raise the error for a session or turn that is missing."""
        query = for_session("turn_in_session", key["user_id"])
        found = await self._core.db.fetchval(query, **key, turn_id=turn_id)
        if found is None:
            raise self._missing(key["session_id"])
        if turn_id is not None and not found:
            raise NotFoundError("turn not found", field="turn_id", id=str(turn_id))


def _counts(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of all figures, and of ``extra``."""
    known, extra = figures(given, USAGE_FIGURES, "usage")
    return {**dict.fromkeys(USAGE_FIGURES), **known, "extra": dumps(extra) if extra else None}


def _groups(by: Sequence[UsageGroup]) -> tuple[UsageGroup, ...]:
    groups = validate(GROUPS_ASKED, listed(by, "by", at_most=10, of="names"), "by")
    return tuple(dict.fromkeys(groups))


def _known_zone(name: str) -> str:
    """Return a time zone's name; the server's error for an unknown one would tell nothing.

    Raises:
        InvalidInputError: there is no such zone.
    """
    try:
        ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise InvalidInputError("time_zone is not a known one", field="time_zone") from None
    return name
