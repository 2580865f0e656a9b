"""LangGraph's long-term memory, over digitwin's memories."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from langgraph.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
    TTLConfig,
    get_text_at_path,
    validate_op_namespace,
)

from digitwin.database import Database
from digitwin.errors import InvalidInputError
from digitwin.handle.scopes import ServiceScope, UserScope
from digitwin.integrations.langchain.bridge import Bridge
from digitwin.kernel.primitives.flags import require_flags
from digitwin.kernel.primitives.ids import parse_id
from digitwin.kernel.primitives.iterables import listed, mapped
from digitwin.kernel.primitives.validation import Id, unreadable
from digitwin.memories import operations as memories
from digitwin.memories.fields import (
    MAX_QUERY,
    MAX_TEXT,
    MAX_TTL,
    Audience,
    audience_name,
    language_name,
    lifetime,
)
from digitwin.memories.memory import Memory, MemoryHit

Handle = Database | UserScope | ServiceScope

MAX_PATHS: Final = 100
"""Of an ``index``: more than a value is likely to have."""
MAX_SETTINGS: Final = 100
"""Of times to live; LangGraph has five."""
_MINUTE: Final = 60


class MemoryStore(BaseStore):
    """A person's long-term memory: ``graph.compile(store=MemoryStore(…))``.

    Items are kept in ``db.memories``: they are durable, exported and erased as everything there
    is. What is remembered for one person or audience is never found for another.

    A batch is one transaction. What reads comes first and sees nothing of what the batch writes; of
    several writes to one item, the last counts. A search's ``query`` puts the items first that have
    its words, and leaves none out; the others follow, the last put first, without a score.

    Synchronous calls are run on the handle's event loop by a call from another thread; from the
    loop's own thread they are refused, since they would wait for themselves. Asynchronous ones
    work on any loop.

    Args:
        db: the handle, or a scope of it. The store is made on its event loop.
        user_id: whose memory it is.
        audience: for whom it is: the twin's ``owner``, or a ``visitor``.
        ttl: LangGraph's settings of times to live, in minutes: ``default_ttl`` and
            ``refresh_on_read``. An expired item is never returned, and ``db.maintain()`` removes
            it, so that the other settings have no effect.
        language: of what is remembered, such as ``de-CH``, by which words are compared; English if
            it is None.

    Raises:
        InvalidInputError: an argument is invalid; names it.
        InvalidStateError: no event loop is running.
    """

    supports_ttl = True

    def __init__(
        self,
        db: Handle,
        *,
        user_id: Id,
        audience: Audience,
        ttl: TTLConfig | None = None,
        language: str | None = None,
    ) -> None:
        self._whose: dict[str, Any] = {
            "user_id": parse_id(user_id, "user_id"),
            "audience": audience_name(audience),
        }
        self._language = language_name(language)
        self._memories = db.memories
        self._bridge = Bridge()
        self.ttl_config = _ttl_config(ttl)

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Do several things in one transaction; return the result of each.

        Args:
            ops: at most 1,000.

        Raises:
            InvalidNamespaceError: a label is empty, no text, or has a period.
            DigiTwinError: an operation is invalid, or the database is away; nothing was changed.
        """
        return await self._bridge.on_loop(self._run(list(ops)))

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """As :meth:`abatch`, from a thread without the handle's loop."""
        return self._bridge.wait(self._run(list(ops)))

    async def _run(self, ops: list[Op]) -> list[Result]:
        operations = [self._operation(op) for op in ops]
        done = await self._memories.batch(operations, **self._whose)
        return [_result(op, found) for op, found in zip(ops, done, strict=True)]

    def _operation(self, op: Op) -> memories.Operation:
        validate_op_namespace(op)
        match op:
            case GetOp():
                return memories.FindMemory(op.namespace, op.key, bool(op.refresh_ttl))
            case SearchOp():
                return memories.SearchMemories(
                    op.namespace_prefix,
                    op.query[:MAX_QUERY] if isinstance(op.query, str) else op.query,
                    op.filter,
                    op.limit,
                    op.offset,
                    bool(op.refresh_ttl),
                )
            case ListNamespacesOp():
                return _listing(op)
            case PutOp(value=None):
                return memories.DeleteMemory(op.namespace, op.key)
            case PutOp():
                value: Any = op.value
                return memories.PutMemory(
                    op.namespace,
                    op.key,
                    dict(value) if isinstance(value, Mapping) else value,
                    _seconds(op.ttl, "ttl"),
                    _text(op),
                    self._language,
                )
        raise ValueError(f"Unknown operation type: {type(op)}")


def _ttl_config(ttl: Any) -> TTLConfig | None:
    if ttl is None:
        return None
    given = mapped(ttl, "ttl", at_most=MAX_SETTINGS)
    lifetime(_seconds(given.get("default_ttl"), "default_ttl"))
    require_flags(("refresh_on_read",), given)
    return cast(TTLConfig, given)


def _seconds(minutes: Any, field: str) -> float | None:
    """Return minutes in seconds; a timedelta would be taken for so many times too long."""
    if minutes is None:
        return None
    if type(minutes) not in (int, float):
        raise InvalidInputError(f"{field} must be a number of minutes", field=field)
    return float(min(minutes, MAX_TTL)) * _MINUTE


def _listing(op: ListNamespacesOp) -> memories.ListNamespaces:
    paths: dict[str, list[tuple[str, ...]]] = {"prefix": [], "suffix": []}
    for condition in op.match_conditions or ():
        if condition.match_type not in paths:
            raise ValueError(f"Unsupported match type: {condition.match_type}")
        paths[condition.match_type].append(condition.path)
    return memories.ListNamespaces(
        paths["prefix"], paths["suffix"], op.max_depth, op.limit, op.offset
    )


def _text(op: PutOp) -> str | None:
    """Return what a query's words are looked for in: none of it, some fields, or None for all."""
    if op.index is None:
        return None
    paths = [] if op.index is False else listed(op.index, "index", at_most=MAX_PATHS, of="paths")
    try:
        texts = [text for path in paths for text in get_text_at_path(op.value, path)]
    except Exception as error:  # noqa: BLE001 - of a value that is no JSON, or a path that is none
        raise unreadable("index", error) from None
    return "\n".join(texts)[:MAX_TEXT]


def _result(op: Op, found: memories.Result) -> Result:
    if isinstance(op, PutOp):
        return None
    if isinstance(found, Memory):
        return Item(**_fields(found))
    if isinstance(op, SearchOp):
        assert isinstance(found, list)
        return [_hit(hit) for hit in found if isinstance(hit, MemoryHit)]
    return found  # type: ignore[return-value]


def _hit(hit: MemoryHit) -> SearchItem:
    return SearchItem(**_fields(hit.memory), score=hit.score)


def _fields(memory: Memory) -> dict[str, Any]:
    return {
        "namespace": memory.namespace,
        "key": memory.key,
        "value": memory.value,
        "created_at": memory.created_at,
        "updated_at": memory.updated_at,
    }
