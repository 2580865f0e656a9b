"""A key ring on each of the two stores."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import pytest

from digitwin.database import Database
from digitwin.kernel.primitives.ids import uuid7
from digitwin.kernel.repository.ports import EncryptedRow
from digitwin.keys.file_store import FileKeyStore
from digitwin.keys.keyring import KeyRing
from digitwin.keys.master_keys import LocalKeyService
from digitwin.keys.ports import KeyStore, StoredKey
from digitwin.keys.table_store import TableKeyStore

OLD, NEW = bytes(range(32)), bytes(range(32, 64))


@pytest.fixture(params=["table", "files"])
def store(request: pytest.FixtureRequest, digitwin_db: Database, tmp_path: Path) -> KeyStore:
    if request.param == "table":
        return TableKeyStore(digitwin_db._core)
    return FileKeyStore(tmp_path / "keys")


@pytest.fixture
def ring(digitwin_db: Database, store: KeyStore) -> KeyRing:
    return another(digitwin_db, store)


def another(db: Database, store: KeyStore, *masters: bytes) -> KeyRing:
    """A ring as another process has it: the same store, a memory of its own."""
    return KeyRing(db._core, LocalKeyService(masters or [OLD]), store)


def place(user_id: UUID | None = None) -> EncryptedRow:
    """A row of somebody's."""
    return EncryptedRow("voice_models", user_id or uuid7(), uuid7())


async def every(store: KeyStore) -> Sequence[StoredKey]:
    return await store.page(None, 10_000)


def some_key(user_id: UUID) -> StoredKey:
    return StoredKey(user_id, "local:none", secrets.token_bytes(60))
