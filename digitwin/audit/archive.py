"""Archives records before they are removed, in a file that can be verified by itself.

A purge writes one gzip file of JSON lines: the seals of the records it will remove, each such
record with the salts and commitments of its leaf, and of the other records of these seals only
their leaves, so that every root can be recomputed.

The file holds personal data, which an erasure does not reach: it needs a retention of its own.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncGenerator, AsyncIterable, Iterator, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from digitwin.audit import hash_chain
from digitwin.audit.faults import AuditVerification, FaultList
from digitwin.audit.hash_chain import PERSONAL, PLAIN, RootHash, Seal
from digitwin.audit.sealing import seals_after
from digitwin.audit.signing import Signers
from digitwin.errors import ConfigurationError, InvalidInputError
from digitwin.kernel.execution.executor import Executor
from digitwin.kernel.primitives import private_file
from digitwin.kernel.sql.queries import Queries

FORMAT: Final = "digitwin audit archive 1"
SUFFIX: Final = ".ndjson.gz"
_BATCH: Final = 500
"""Lines compressed and written at once, in a thread."""
_GZIP: Final = 16 + zlib.MAX_WBITS
"""Makes zlib write the header and trailer of gzip."""
_SEAL_FIELDS: Final = tuple(Seal.__dataclass_fields__)
QUERIES = Queries(__package__)


async def write(on: Executor, folder: Path, cutoff: datetime, upto: int) -> Path | None:
    """Archive the records dated before a cutoff that a seal up to a number holds.

    Returns:
        The file; None if there are no such records.

    Raises:
        ConfigurationError: the file cannot be written, so nothing may be removed.
    """
    span = await on.fetchrow(QUERIES["removable_seals"], cutoff=cutoff, upto=upto)
    if span is None or span["first"] is None:
        return None
    first, last = span["first"], span["last"]
    path = folder / f"audit-{first}-{last}-{cutoff.astimezone(UTC):%Y%m%dT%H%M%S}{SUFFIX}"
    lines = _lines(on, cutoff, first, last)
    try:
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        async with aclosing(lines), aclosing(_compressed(lines)) as chunks:
            await private_file.replace_streamed(path, chunks)
    except OSError as error:
        raise ConfigurationError(
            f"The archive {error.filename} cannot be written ({error.strerror})",
            field="audit_archive",
        ) from error
    return path


async def _compressed(lines: AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
    """Compress lines as gzip, without a time: the same lines give the same bytes."""
    compressor = zlib.compressobj(9, wbits=_GZIP)
    batch: list[bytes] = []
    async for line in lines:
        batch.append(line)
        if len(batch) == _BATCH:
            yield await asyncio.to_thread(compressor.compress, b"".join(batch))
            batch = []
    yield compressor.compress(b"".join(batch)) + compressor.flush()


async def _lines(
    on: Executor, cutoff: datetime, first: int, last: int
) -> AsyncGenerator[bytes, None]:
    yield _line("archive", format=FORMAT, before=cutoff)
    async with aclosing(_seal_lines(on, cutoff, first, last)) as lines:
        async for line in lines:
            yield line
    yield _line("end")


async def _seal_lines(
    on: Executor, cutoff: datetime, first: int, last: int
) -> AsyncGenerator[bytes, None]:
    """Yield each seal that loses a record, followed by its leaves; skip the others."""
    seal: Seal | None = None
    buffer: list[bytes] = []
    loses_records = False
    leaves = on.stream(QUERIES["leaves_with_records"], after=first - 1, upto=last)
    async with aclosing(leaves) as rows:
        async for row in rows:
            if seal is None or row["seal"] != seal.number:
                for line in buffer if loses_records else ():
                    yield line
                [seal] = await seals_after(on, row["seal"] - 1, 1)
                buffer = [_line("seal", **{name: getattr(seal, name) for name in _SEAL_FIELDS})]
                loses_records = False
            is_removed = row["id"] is not None and row["dated"] < cutoff
            loses_records = loses_records or is_removed
            buffer.append(_record_line(row) if is_removed else _leaf_line(row))
        for line in buffer if loses_records else ():
            yield line


def _record_line(row: Mapping[str, Any]) -> bytes:
    return _line(
        "record",
        **_fields(row, "seal", "place", "id", "created_at", *PLAIN, *PERSONAL),
        **_fields(row, "commitments", "salts"),
    )


def _leaf_line(row: Mapping[str, Any]) -> bytes:
    return _line("leaf", **_fields(row, "place", "leaf"))


def _fields(row: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: row[name] for name in names}


def _line(kind: str, **fields: Any) -> bytes:
    document = {"kind": kind, **fields}
    return json.dumps(document, default=_to_json, ensure_ascii=False).encode() + b"\n"


def _to_json(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if isinstance(value, datetime) else str(value)


async def verify(path: Path, signers: Signers) -> AuditVerification:
    """Recompute every seal of an archive from its lines; needs no database.

    Raises:
        InvalidInputError: the file is no archive of this format, or incomplete.
    """
    try:
        with gzip.open(path, "rb") as file:
            return await _ArchiveVerifier(signers).run(map(json.loads, file))
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise InvalidInputError(
            f"{path} is not a complete audit archive: {error}", field="archive"
        ) from None


class _ArchiveVerifier:
    """Verifies an archive line by line."""

    def __init__(self, signers: Signers) -> None:
        self._signers = signers
        self._found = FaultList()
        self._seal: Seal | None = None
        self._root = RootHash()
        self._leaves = self._records = self._seals = 0

    async def run(self, lines: Iterator[Mapping[str, Any]]) -> AuditVerification:
        line: Mapping[str, Any] = next(lines, {})
        if line.get("format") != FORMAT:
            raise ValueError("its first line names another format")
        for line in lines:
            if line["kind"] == "seal":
                self._end_seal()
                await self._begin_seal(_parse_seal(line))
            elif line["kind"] != "end":
                self._add_leaf(line)
        if line["kind"] != "end":
            raise ValueError("its end is missing")
        self._end_seal()
        return AuditVerification(
            self._records,
            tuple(self._found.faults),
            sealed=self._records,
            seals=self._seals,
            signatures=self._found.signatures,
        )

    async def _begin_seal(self, seal: Seal) -> None:
        before, self._seal = self._seal, seal
        self._root, self._leaves = RootHash(), 0
        self._seals += 1
        name = f"seal {seal.number}"
        if before and before.number + 1 == seal.number and before.head != seal.previous:
            self._found.add("chain", f"{name} is not linked to the one before it")
        if seal.digest() != seal.head:
            self._found.add("seal", f"{name} was changed: its head does not match")
            return
        status = await self._signers.status(seal)
        self._found.statuses.add(status)
        if status == "invalid" or (status == "unknown_key" and self._signers.known()):
            self._found.add("signature", f"{name}: its signature is invalid, or its key unknown")

    def _add_leaf(self, line: Mapping[str, Any]) -> None:
        self._leaves += 1
        if line["kind"] == "leaf":
            self._root.add(bytes.fromhex(line["leaf"]))
            return
        record = _parse_record(line)
        salts, stored = bytes.fromhex(line["salts"]), bytes.fromhex(line["commitments"])
        committed = hash_chain.commitments(record, salts, stored)
        if committed != stored or hash_chain.is_erased(record, salts) is False:
            self._found.add("changed", "it differs from what was sealed", record["id"])
        content = hash_chain.content(record, committed)
        at = record["id"], record["created_at"]
        self._root.add(hash_chain.leaf(line["seal"], line["place"], *at, content))
        self._records += 1

    def _end_seal(self) -> None:
        seal = self._seal
        if seal is None:
            return
        if self._leaves != seal.records or self._root.digest() != seal.root:
            self._found.add("seal", f"seal {seal.number} is over other records than these")


def _parse_seal(line: Mapping[str, Any]) -> Seal:
    fields = {name: line[name] for name in _SEAL_FIELDS}
    for name in ("created_at", "horizon", "newest"):
        fields[name] = fields[name] and datetime.fromisoformat(fields[name])
    for name in ("root", "previous", "head", "signature"):
        fields[name] = fields[name] if fields[name] is None else bytes.fromhex(fields[name])
    return Seal(**fields)


def _parse_record(line: Mapping[str, Any]) -> dict[str, Any]:
    record = dict(line, created_at=datetime.fromisoformat(line["created_at"]))
    for name in ("id", "user_id", "actor_id"):
        record[name] = record[name] and UUID(record[name])
    return record
