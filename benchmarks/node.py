"""node-pg as a contestant: a small program of its own, which npm brings the driver for."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from benchmarks.filling import ANSWER, Size, dumps, unpack
from benchmarks.operations import Operation
from benchmarks.peers.base import POOL, Place, Statement
from benchmarks.worker import Turn

PROGRAM: Final = Path(__file__).parent / "node_pg"
FINISHES: Final = {
    "session_with_turns": "session",
    "embedding_get": "embedding",
    "response_get": "response",
    "embedding_set": "nothing",
    "response_set": "nothing",
}
"""What the program makes of the rows; of others, the first one as an object."""
MOST: Final = 200
"""Calls with embeddings that are sent to the program: there are a hundred of them."""


@cache
def missing() -> str | None:
    """Why there can be no node-pg; the driver is installed at the first call."""
    if not shutil.which("node") or not shutil.which("npm"):
        return "Node.js with npm is not installed"
    if (PROGRAM / "node_modules" / "pg").is_dir():
        return None
    install = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--silent"]
    done = subprocess.run(install, cwd=PROGRAM, capture_output=True, check=False)
    return "npm could not install the package pg" if done.returncode else None


def versions() -> dict[str, str]:
    """Those of Node.js and of the driver."""
    package = PROGRAM / "node_modules" / "pg" / "package.json"
    node = subprocess.check_output(["node", "--version"], text=True).strip().removeprefix("v")
    return {"Node.js": node, "node-pg": json.loads(package.read_text("utf-8"))["version"]}


class NodeProcess:
    """The program, which answers one line of JSON for each."""

    def __init__(self, place: Place, size: Size, part: int = 0) -> None:
        self._place, self._size, self._part = place, size, part
        self._process = subprocess.Popen(
            ["node", str(PROGRAM / "peer.js")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def prepare(self, operation: Operation) -> None:
        statement = self._place.statements[operation.call]
        arguments = operation.arguments(self._size, self._part)
        embeds = operation.call == "embedding_set"
        calls = [
            [_spelt(value) for value in statement.bind(each, lambda: FRESH)]
            for each in (arguments[:MOST] if embeds else arguments)
        ]
        self._operation, self._first = operation, arguments[0]
        self._send(
            config=self._config(durable=operation.durable),
            statement={"name": operation.name, "text": _distinct(statement)},
            calls=calls,
            finish=FINISHES.get(operation.call, "row"),
        )

    def is_ready(self) -> bool:
        first = self._answer()["first"]
        if not self._operation.proof(first, self._first):
            raise AssertionError(f"node-pg does not do the work of {self._operation.title}")
        return True

    def start(self, callers: int, seconds: float) -> None:
        self._send(callers=callers, seconds=seconds)

    def finish(self) -> Turn:
        return Turn(**self._answer())

    def close(self) -> None:
        with self._process:  # closes its pipes, upon which it ends
            pass

    def _config(self, *, durable: bool) -> Mapping[str, Any]:
        from psycopg.conninfo import conninfo_to_dict

        parts = conninfo_to_dict(self._place.url)
        settings = Place("", durable).settings
        return {
            "host": parts["host"],
            "port": int(parts.get("port") or 5432),
            "user": parts["user"],
            "database": parts["dbname"],
            "root": parts.get("sslrootcert"),
            "max": POOL,
            "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
        }

    def _send(self, **order: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{json.dumps(order)}\n".encode())
        self._process.stdin.flush()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise RuntimeError(f"node-pg: {answer['error']}")
        return answer


FRESH: Final = {"kind": "fresh"}


def _spelt(value: Any) -> Any:
    """A parameter as JSON; what the peers make for each call is marked, and made there too."""
    match value:
        case UUID():
            return str(value)
        case datetime():
            return value.isoformat()
        case bytes():
            return {"kind": "vector", "value": unpack(value)}
        case list():
            return {"kind": "list", "value": [_spelt(each) for each in value]}
        case str() if value == _ANSWER:
            return {"kind": "json", "value": ANSWER}
        case _:
            return value


_ANSWER: Final = dumps(ANSWER)


def _distinct(statement: Statement) -> str:
    """The statement, each of whose columns has a name of its own, as an object needs it."""
    names: list[str] = []
    for column in statement.columns:
        names.append(f"turn_{column}" if column in names else column)
    if names == [*statement.columns]:
        return statement.sql
    return f"SELECT * FROM ({statement.sql}) AS row ({', '.join(names)})"
