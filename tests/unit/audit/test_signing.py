"""Whose signatures are believed, and whose are not."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from digitwin.audit.hash_chain import Seal
from digitwin.audit.signing import (
    AuditSigner,
    Ed25519Signer,
    Ed25519Verifier,
    HmacSigner,
    Signers,
    signers_of,
)
from digitwin.errors import ConfigurationError, KeyUnavailableError
from digitwin.settings import Settings

ONE, TWO = bytes(range(32)), bytes(range(1, 33))
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SEAL = Seal(1, NOW, None, NOW, 1, b"r" * 32, b"p" * 32)


def spelt(*keys: bytes) -> str:
    return ",".join(base64.b64encode(key).decode() for key in keys)


@pytest.fixture(autouse=True)
def _nothing_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("AUDIT_KEY", "AUDIT_KEY_FILE"):
        monkeypatch.delenv(f"DIGITWIN_{name}", raising=False)


@pytest.mark.parametrize("kind", [HmacSigner, Ed25519Signer])
async def test_a_signature_holds_for_what_was_signed_and_for_its_key_alone(kind: Any) -> None:
    signer: AuditSigner = kind(ONE)
    signature = await signer.sign(b"head")
    assert await signer.verify(b"head", signature)
    assert not await signer.verify(b"heap", signature)
    assert not await signer.verify(b"head", signature[:-1] + b"\0")
    assert not await signer.verify(b"head", b"")
    assert not await kind(TWO).verify(b"head", signature)
    assert kind(ONE).key_id == signer.key_id != kind(TWO).key_id
    assert ONE.hex()[:16] not in signer.key_id


async def test_a_public_half_verifies_and_cannot_sign() -> None:
    signer = Ed25519Signer(ONE)
    public = Ed25519Verifier(base64.b64decode(signer.public_key))
    assert public.key_id == signer.key_id
    assert await public.verify(b"head", await signer.sign(b"head"))
    with pytest.raises(KeyUnavailableError):
        await public.sign(b"head")


async def test_a_seal_is_signed_by_the_present_key() -> None:
    signers = Signers(HmacSigner(ONE))
    made = await signers.sign(SEAL)
    assert made.digest() == made.head
    assert await signers.status(made) == "valid"
    assert await Signers(HmacSigner(TWO)).status(made) == "unknown_key"
    assert await Signers(HmacSigner(TWO), [HmacSigner(ONE)]).status(made) == "valid"
    assert await signers.status(replace(made, signature=b"other")) == "invalid"
    assert await signers.status(replace(made, algorithm="ed25519")) == "invalid"


async def test_without_a_key_a_seal_is_unsigned() -> None:
    made = await Signers().sign(SEAL)
    assert (made.signature, made.key_id, made.algorithm) == (None, None, "none")
    assert made.digest() == made.head
    assert await Signers().status(made) == "unsigned"


async def test_earlier_keys_are_believed_however_they_signed() -> None:
    now = signers_of(
        Settings(audit_key=spelt(TWO), audit_keys_retired=spelt(ONE), audit_signature="ed25519"),
        None,
    )
    assert isinstance(now.current(), Ed25519Signer)
    for signer in (HmacSigner(ONE), Ed25519Signer(ONE), HmacSigner(TWO), Ed25519Signer(TWO)):
        assert await now.status(await Signers(signer).sign(SEAL)) == "valid"


async def test_a_file_has_the_key_and_then_retired_ones(tmp_path: Path) -> None:
    path = tmp_path / "audit.key"
    path.write_text(spelt(TWO) + "\n" + spelt(ONE) + "\n")
    path.chmod(0o600)
    signers = signers_of(Settings(audit_key_file=path), None)
    current = signers.current()
    assert current is not None
    assert current.key_id == HmacSigner(TWO).key_id
    assert HmacSigner(ONE).key_id in signers.known()


async def test_the_embedded_servers_key_is_made_when_it_is_needed(tmp_path: Path) -> None:
    signers = signers_of(Settings(), tmp_path)
    assert signers.known() == {}
    assert not (tmp_path / "audit.key").exists()
    made = await signers.sign(SEAL)
    assert (tmp_path / "audit.key").stat().st_mode & 0o777 == 0o600
    assert await signers_of(Settings(), tmp_path).status(made) == "valid"


@pytest.mark.parametrize(
    "wrong",
    [
        {"audit_key": spelt(ONE), "audit_key_file": "x"},
        {"audit_key_file": "/nowhere/audit.key"},
        {"audit_key": "short"},
        {"audit_keys_retired": "short"},
        {"audit_public_keys": "short"},
        {"audit_signature": "md5"},
    ],
)
def test_what_cannot_be_a_key_is_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as refused:
        signers_of(Settings(**wrong), None)
    assert refused.value.details["field"] in wrong
    assert "short" not in str(refused.value)
