"""LangChain's cache of model answers, over digitwin's response cache."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Any, Final

from langchain_core._api import suppress_langchain_beta_warning
from langchain_core.caches import BaseCache
from langchain_core.load import dumpd, load
from langchain_core.outputs import Generation

from digitwin.cache import fields
from digitwin.cache.fields import Audience
from digitwin.database import Database
from digitwin.errors import InvalidInputError
from digitwin.integrations.langchain.bridge import Bridge
from digitwin.integrations.langchain.failures import Failures
from digitwin.kernel.primitives.validation import Id

_SPACE: Final = "langchain"
MAX_TAGS: Final = fields.MAX_TAGS - 1
"""One of an entry's is the cache's own."""


class ResponseCache(BaseCache):
    """A person's cache of model answers: ``model = ChatModel(…, cache=ResponseCache(…))``.

    Answers are kept in ``db.cache.responses``, under a digest of prompt and model: they expire,
    are invalidated, exported and erased as everything there is. What was answered for one person
    or audience is never returned for another.

    A cache that fails does not fail the model's call: nothing is found then, or stored. The first
    failure is logged; :attr:`failures` and ``health().recorders.failed_callbacks`` count them.

    Synchronous calls are run on the handle's event loop by a call from another thread; from the
    loop's own thread they are refused, since they would wait for themselves. Asynchronous ones
    work on any loop.

    Args:
        db: the handle. The cache is made on its event loop.
        user_id: whose data it is; None: nobody's, such as answers about no person.
        audience: for whom answers are: the twin's ``owner``, or a ``visitor``.
        ttl: time to live in seconds; None: the setting of the response cache.
        tags: at most 31, by which answers can be invalidated, such as
            ``session_tag(session.id)``.

    Raises:
        InvalidInputError: an argument is invalid; names it.
        InvalidStateError: no event loop is running.
    """

    def __init__(
        self,
        db: Database,
        *,
        user_id: Id | None,
        audience: Audience,
        ttl: float | timedelta | None = None,
        tags: Iterable[str] = (),
    ) -> None:
        owner, known = fields.owner(user_id), fields.audience_name(audience)
        self._own_tag = f"{_SPACE}:{owner}:{known}"
        _, given = fields.ttl_and_tags(ttl, tags, fields.MAX_TTL)
        if len(given) > MAX_TAGS:
            raise InvalidInputError(
                f"tags must have at most {MAX_TAGS} items", field="tags", limit=MAX_TAGS
            )
        self._store = db.cache.responses
        self._whose: dict[str, Any] = {"user_id": user_id, "audience": known}
        self._terms: dict[str, Any] = {"ttl": ttl, "tags": [*given, self._own_tag]}
        self._bridge = Bridge()
        self._failures = Failures(db, "langchain.ResponseCache")

    @property
    def failures(self) -> int:
        """Calls that failed, and were kept from the model's call."""
        return len(self._failures)

    async def alookup(self, prompt: str, llm_string: str) -> Sequence[Generation] | None:
        """Return the answers to a prompt, or None."""
        with self._failures.kept():
            return await self._bridge.on_loop(self._lookup(prompt, llm_string))
        return None

    async def aupdate(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """Store the answers to a prompt."""
        with self._failures.kept():
            await self._bridge.on_loop(self._update(prompt, llm_string, return_val))

    async def aclear(self, **kwargs: Any) -> None:
        """Delete what was stored for this person and audience.

        Raises:
            DigiTwinError: it may not be deleted.
        """
        await self._bridge.on_loop(self._clear())

    def lookup(self, prompt: str, llm_string: str) -> Sequence[Generation] | None:
        """As :meth:`alookup`, from a thread without the handle's loop."""
        with self._failures.kept():
            return self._bridge.wait(self._lookup(prompt, llm_string))
        return None

    def update(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """As :meth:`aupdate`, from a thread without the handle's loop."""
        with self._failures.kept():
            self._bridge.wait(self._update(prompt, llm_string, return_val))

    def clear(self, **kwargs: Any) -> None:
        """As :meth:`aclear`, from a thread without the handle's loop."""
        self._bridge.wait(self._clear())

    async def _lookup(self, prompt: str, llm_string: str) -> Sequence[Generation] | None:
        stored = await self._store.get(_key(prompt, llm_string), **self._whose)
        try:
            return None if stored is None else _loaded(stored)
        except Exception as error:  # noqa: BLE001 - LangChain's, for an answer of another version
            self._failures.add(error)
            return None

    async def _update(self, prompt: str, llm_string: str, answers: Sequence[Generation]) -> None:
        try:
            stored = [dumpd(answer) for answer in answers]
        except Exception as error:  # noqa: BLE001 - LangChain's, or of an answer's own classes
            self._failures.add(error)
            return
        await self._store.set(_key(prompt, llm_string), stored, **self._whose, **self._terms)

    async def _clear(self) -> None:
        await self._store.invalidate(tag=self._own_tag)


def _key(prompt: str, llm_string: str) -> str:
    """Return a digest, since prompts are long and personal; the model's part is of known length."""
    model = sha256(llm_string.encode("utf-8", "surrogatepass")).digest()
    digest = sha256(model + prompt.encode("utf-8", "surrogatepass"))
    return f"{_SPACE}:{digest.hexdigest()}"


def _loaded(stored: Any) -> list[Generation]:
    """Return the answers that were stored.

    Raises:
        TypeError: they are something else; and other errors of LangChain's.
    """
    if not isinstance(stored, list):
        raise TypeError
    with suppress_langchain_beta_warning():
        answers = [load(answer, allowed_objects="core") for answer in stored]
    if not all(isinstance(answer, Generation) for answer in answers):
        raise TypeError
    return answers
