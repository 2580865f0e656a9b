"""LangChain's store of bytes, over digitwin's response cache."""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final

from digitwin.cache.fields import MAX_KEY, Audience
from digitwin.database import Database
from digitwin.errors import InvalidInputError
from digitwin.integrations.langchain.stores import EntryStore, text
from digitwin.kernel.primitives.jsonb import MAX_BYTES
from digitwin.kernel.primitives.validation import Id

_QUOTES: Final = 2
MAX_VALUE: Final = (MAX_BYTES - _QUOTES) // 4 * 3
"""Bytes of a value: in base64 it is a string of JSON, which the cache bounds."""


class ByteStore(EntryStore[bytes]):
    """A person's values by key, for LangChain's ``BaseStore[str, bytes]``.

    Values are kept in ``db.cache.responses``, in base64: they expire, are evicted, invalidated,
    exported and erased as everything there is. What is stored for one person, audience or
    namespace is never returned for another.

    Many keys take one statement for each 1,000. Synchronous calls are run on the handle's event
    loop by a call from another thread; from the loop's own thread they are refused, since they
    would wait for themselves. Asynchronous ones work on any loop.

    Every method raises ``InvalidInputError``, which names the argument and the limit, for a key
    that is too long (the cache's 512 characters less the namespace and 11) or a value of more
    than 786,429 bytes, and another ``DigiTwinError`` if the database cannot be asked.

    Args:
        db: the handle. The store is made on its event loop.
        user_id: whose data it is; None: nobody's, which all may read.
        audience: for whom values are: the twin's ``owner``, or a ``visitor``.
        namespace: what the values are, one line of at most 128 characters, such as the name of
            the model that made them.
        ttl: time to live in seconds; None: the setting of the response cache.
        tags: by which values can be invalidated, such as ``session_tag(session.id)``.

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
        namespace: str,
        ttl: float | timedelta | None = None,
        tags: Iterable[str] = (),
    ) -> None:
        super().__init__(
            db.cache.responses,
            namespace,
            field="namespace",
            user_id=user_id,
            audience=audience,
            ttl=ttl,
            tags=tags,
        )

    def _entry_key(self, key: Any) -> str:
        valid = text(key, "key")
        most = MAX_KEY - len(self._prefix)
        if len(valid) > most:
            raise InvalidInputError(
                f"key must have at most {most} characters", field="key", limit=most
            )
        return valid

    def _stored(self, value: Any) -> tuple[Any, int]:
        if not issubclass(type(value), bytes | bytearray | memoryview):
            raise InvalidInputError("value must be bytes", field="value")
        try:
            view = memoryview(value)
        except ValueError:
            raise InvalidInputError("value was released", field="value") from None
        if view.nbytes > MAX_VALUE:
            raise InvalidInputError(
                f"value must have at most {MAX_VALUE:,} bytes", field="value", limit=MAX_VALUE
            )
        kept = b64encode(view.tobytes()).decode("ascii")
        return kept, len(kept) + _QUOTES

    def _value(self, stored: Any) -> bytes | None:
        try:
            return b64decode(stored, validate=True)
        except (NotBase64, TypeError, ValueError):  # stored under its key by something else
            return None
