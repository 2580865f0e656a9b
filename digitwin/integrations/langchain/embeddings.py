"""A store of vectors for LangChain's CacheBackedEmbeddings, over digitwin's embedding cache."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Any, Final

from digitwin.cache.codecs import VectorCodec
from digitwin.cache.fields import Audience
from digitwin.database import Database
from digitwin.errors import InvalidInputError
from digitwin.integrations.langchain.failures import Failures
from digitwin.integrations.langchain.stores import MAX_KEYS, EntryStore, text
from digitwin.kernel.primitives.iterables import listed
from digitwin.kernel.primitives.validation import Id

_FLOAT32: Final = 4


class EmbeddingCache(EntryStore[list[float]]):
    """One model's vectors by text: ``CacheBackedEmbeddings(model, EmbeddingCache(…))``.

    Vectors are kept in ``db.cache.embeddings``, as float32: they expire, are evicted,
    invalidated, exported and erased as everything there is. A key contains the model and a digest
    of the text. What is stored for one person, audience or model is never returned for another.

    A cache that fails does not fail the model's call: nothing is found then, or stored. The first
    failure is logged; :attr:`failures` and ``health().recorders.failed_callbacks`` count them.
    Deletions and listings raise.

    Calls from other threads and loops: as for :class:`ByteStore`. ``yield_keys`` yields digests,
    since texts are not stored.

    Args:
        db: the handle. The cache is made on its event loop.
        user_id: whose data it is; None: nobody's, which all may read.
        audience: for whom vectors are: the twin's ``owner``, or a ``visitor``.
        model: which model makes them, one line of at most 128 characters; with its dimensions,
            and whether it embeds questions or documents, if it can be asked for either.
        ttl: time to live in seconds; None: the setting of the embedding cache.
        tags: by which vectors can be invalidated.

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
        model: str,
        ttl: float | timedelta | None = None,
        tags: Iterable[str] = (),
    ) -> None:
        super().__init__(
            db.cache.embeddings,
            model,
            field="model",
            user_id=user_id,
            audience=audience,
            ttl=ttl,
            tags=tags,
        )
        self._failures = Failures(db, "langchain.EmbeddingCache")

    @property
    def failures(self) -> int:
        """Calls that failed, and were kept from the model's call."""
        return len(self._failures)

    async def amget(self, keys: Sequence[str]) -> list[list[float] | None]:
        """Return the vectors of texts, and None for each that is missing or has expired."""
        given = _texts(keys)
        with self._failures.kept_if_closed():
            return await super().amget(given)
        return [None] * len(given)

    async def amset(self, key_value_pairs: Sequence[tuple[str, list[float]]]) -> None:
        """Store vectors by text; of two for one text the last."""
        with self._failures.kept_if_closed():
            await super().amset(key_value_pairs)

    def mget(self, keys: Sequence[str]) -> list[list[float] | None]:
        """As :meth:`amget`, from a thread without the handle's loop."""
        given = _texts(keys)
        with self._failures.kept_if_closed():
            return super().mget(given)
        return [None] * len(given)

    def mset(self, key_value_pairs: Sequence[tuple[str, list[float]]]) -> None:
        """As :meth:`amset`, from a thread without the handle's loop."""
        with self._failures.kept_if_closed():
            super().mset(key_value_pairs)

    async def _read(self, keys: Sequence[str]) -> Mapping[str, Any]:
        with self._failures.kept():
            return await super()._read(keys)
        return {}

    async def _write(self, values: Mapping[str, Any], sizes: Mapping[str, int]) -> None:
        with self._failures.kept():
            try:
                await super()._write(values, sizes)
            except InvalidInputError as error:
                # One vector with NaN must not have the others embedded anew each time
                self._failures.add(error)
                fit = {key: value for key, value in values.items() if _is_vector(value)}
                await super()._write(fit, sizes)

    def _entry_key(self, key: Any) -> str:
        return sha256(text(key, "text").encode("utf-8", "surrogatepass")).hexdigest()

    def _stored(self, value: Any) -> tuple[Any, int]:
        try:
            return value, _FLOAT32 * len(value)
        except TypeError:
            raise InvalidInputError("value must be a list of numbers", field="value") from None

    def _value(self, stored: list[float]) -> list[float]:
        return stored


def _is_vector(value: Any) -> bool:
    try:
        VectorCodec().encode(value)
    except InvalidInputError:
        return False
    return True


def _texts(keys: Any) -> list[str]:
    return listed(keys, "keys", at_most=MAX_KEYS, of="strings")
