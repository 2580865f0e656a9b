"""Records that are about to go, in a file that verifies by itself.

One file for each removal, compressed, a line in JSON for each thing: the seals that hold a
record of those; each such record with what its leaf consists of; and of the seals' other
records their digests alone, so that every seal can be recomputed. A file appears complete or
not at all. It holds what the records say, so whoever is erased later must be erased there as
well: an archive has a retention of its own.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import os
import secrets
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from digitwin.audit import hash_chain
from digitwin.audit.hash_chain import OPEN, PERSONAL, Root, Seal
from digitwin.audit.sealing import seals_after
from digitwin.audit.signing import Signers
from digitwin.audit.verification import MAX_FAULTS, AuditFault, AuditVerification, Kind
from digitwin.errors import ConfigurationError, InvalidInputError
from digitwin.kernel.execution.executor import Executor
from digitwin.kernel.sql.queries import load

FORMAT: Final = "digitwin audit archive 1"
SUFFIX: Final = ".ndjson.gz"
_LINES: Final = 500
_SQL = load(__package__)


async def write(on: Executor, folder: Path, cutoff: datetime, upto: int) -> Path | None:
    """Archive what is sealed up to a seal and dated before a time; None where nothing is.

    Raises:
        ConfigurationError: the folder cannot be used; nothing may be removed then.
    """
    span = await on.fetchrow(_SQL["removable_seals"], cutoff, upto)
    if span is None or span["first"] is None:
        return None
    name = f"audit-{span['first']}-{span['last']}-{cutoff.astimezone(UTC):%Y%m%dT%H%M%S}{SUFFIX}"
    try:
        return await _write(on, folder / name, cutoff, span["first"], span["last"])
    except OSError as error:
        raise ConfigurationError(
            f"The archive {error.filename} cannot be written ({error.strerror})",
            field="audit_archive",
        ) from error


async def _write(on: Executor, path: Path, cutoff: datetime, first: int, last: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with _compressed(draft) as file:
            file.write(_line("archive", format=FORMAT, before=cutoff))
            async with aclosing(_contents(on, cutoff, first, last)) as lines:
                some: list[bytes] = []
                async for line in lines:
                    some.append(line)
                    if len(some) == _LINES:
                        await asyncio.to_thread(file.write, b"".join(some))
                        some = []
                file.write(b"".join(some))
            file.write(_line("end"))
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)
    return path


@contextmanager
def _compressed(path: Path) -> Iterator[io.BufferedIOBase]:
    """A file for its owner alone, on the disk at the end; the same lines make the same bytes."""
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as raw:
        with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as file:
            yield file
        raw.flush()
        os.fsync(raw.fileno())


def _sync_folder(path: Path) -> None:
    """A name is on the disk once its folder is."""
    if os.name != "posix":
        return
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


async def _contents(
    on: Executor, cutoff: datetime, first: int, last: int
) -> AsyncGenerator[bytes, None]:
    """Each seal with something that goes, then its leaves; others are passed over."""
    seal: Seal | None = None
    held: list[bytes] = []
    wanted = False
    async with aclosing(on.stream(_SQL["leaves_with_records"], first - 1, last)) as rows:
        async for row in rows:
            if seal is None or row["seal"] != seal.number:
                if wanted:
                    for line in held:
                        yield line
                [seal] = await seals_after(on, row["seal"] - 1, 1)
                held, wanted = [_line("seal", **{f: getattr(seal, f) for f in _OF_A_SEAL})], False
            goes = row["id"] is not None and row["dated"] < cutoff
            wanted = wanted or goes
            held.append(_record(row) if goes else _line("leaf", **_fields(row, "place", "leaf")))
        if wanted:
            for line in held:
                yield line


_OF_A_SEAL = tuple(Seal.__dataclass_fields__)


def _record(row: Mapping[str, Any]) -> bytes:
    return _line(
        "record",
        **_fields(row, "seal", "place", "id", "created_at", *OPEN, *PERSONAL),
        **_fields(row, "commitments", "salts"),
    )


def _fields(row: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: row[name] for name in names}


def _line(kind: str, **fields: Any) -> bytes:
    return json.dumps({"kind": kind, **fields}, default=_plain, ensure_ascii=False).encode() + b"\n"


def _plain(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if isinstance(value, datetime) else str(value)


async def verify(path: Path, signers: Signers) -> AuditVerification:
    """Recompute every seal of an archive from its records; needs no database.

    Raises:
        InvalidInputError: it is no archive of this kind.
    """
    try:
        with gzip.open(path, "rb") as file:
            return await _Check(signers).of(map(json.loads, file))
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise InvalidInputError(
            f"{path} is no whole archive of an audit trail: {error}", field="archive"
        ) from None


class _Check:
    """What an archive says, line by line."""

    def __init__(self, signers: Signers) -> None:
        self._signers = signers
        self._faults: list[AuditFault] = []
        self._standings: set[str] = set()
        self._seal: Seal | None = None
        self._root = Root()
        self._leaves = self._records = self._seals = 0

    async def of(self, lines: Iterator[Mapping[str, Any]]) -> AuditVerification:
        begun = next(lines, {})
        if begun.get("format") != FORMAT:
            raise ValueError("its first line is another")
        line: Mapping[str, Any] = begun
        for line in lines:
            if line["kind"] == "seal":
                self._end()
                await self._begin(_seal(line))
            elif line["kind"] != "end":
                self._leaf(line)
        if line["kind"] != "end":
            raise ValueError("it was broken off")
        self._end()
        return AuditVerification(
            self._records,
            tuple(self._faults),
            sealed=self._records,
            seals=self._seals,
            signatures=self._signatures(),
        )

    def _signatures(self) -> Any:
        if self._standings <= {"unsigned"}:
            return "none"
        return "checked" if self._standings & {"signed", "forged"} else "unchecked"

    async def _begin(self, seal: Seal) -> None:
        before, self._seal = self._seal, seal
        self._root, self._leaves = Root(), 0
        self._seals += 1
        if before and before.number + 1 == seal.number and before.head != seal.previous:
            self._add("chain", f"seal {seal.number} does not follow the one before it")
        if seal.digest() != seal.head:
            self._add("seal", f"seal {seal.number} says something else than when it was made")
            return
        standing = await self._signers.standing(seal)
        self._standings.add(standing)
        if standing == "forged" or (standing == "unknown" and self._signers.known()):
            self._add("signature", f"seal {seal.number}: its signature does not hold here")

    def _leaf(self, line: Mapping[str, Any]) -> None:
        self._leaves += 1
        if line["kind"] == "leaf":
            self._root.add(bytes.fromhex(line["leaf"]))
            return
        record = _read(line)
        salts, kept = bytes.fromhex(line["salts"]), bytes.fromhex(line["commitments"])
        committed = hash_chain.commitments(record, salts, kept)
        if committed != kept or hash_chain.is_erased(record, salts) is False:
            self._add("changed", "it is not what was sealed", record["id"])
        said = hash_chain.content(record, committed)
        at = record["id"], record["created_at"]
        self._root.add(hash_chain.leaf(line["seal"], line["place"], *at, said))
        self._records += 1

    def _end(self) -> None:
        seal = self._seal
        if seal is None:
            return
        if self._leaves != seal.records or self._root.over(()) != seal.root:
            self._add("seal", f"seal {seal.number} is over other records than these")

    def _add(self, kind: Kind, detail: str, record_id: UUID | None = None) -> None:
        if len(self._faults) < MAX_FAULTS:
            self._faults.append(AuditFault(kind, detail, record_id))


def _seal(line: Mapping[str, Any]) -> Seal:
    fields = {name: line[name] for name in _OF_A_SEAL}
    for name in ("created_at", "horizon", "newest"):
        fields[name] = fields[name] and datetime.fromisoformat(fields[name])
    for name in ("root", "previous", "head", "signature"):
        fields[name] = fields[name] if fields[name] is None else bytes.fromhex(fields[name])
    return Seal(**fields)


def _read(line: Mapping[str, Any]) -> dict[str, Any]:
    record = dict(line, created_at=datetime.fromisoformat(line["created_at"]))
    for name in ("id", "user_id", "actor_id"):
        record[name] = record[name] and UUID(record[name])
    return record
