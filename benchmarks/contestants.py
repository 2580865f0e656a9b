"""The contestants' processes, as the measuring process sees them: orders out, turns back."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from benchmarks.filling import Size
from benchmarks.operations import Operation
from benchmarks.peers.base import Place
from benchmarks.worker import Turn, serve

COMPILING: Final = 1.0
"""Seconds of calls in which Node.js has compiled most; after a tenth it answers a third as many."""


class Process(Protocol):
    """One process of a peer. Orders go to all that take part, then their answers are awaited."""

    def prepare(self, operation: Operation) -> None: ...
    def is_ready(self) -> bool: ...
    def start(self, callers: int, seconds: float) -> None: ...
    def finish(self) -> Turn: ...
    def close(self) -> None: ...


class PythonProcess:
    """A fresh interpreter with one peer."""

    def __init__(self, name: str, place: Place, size: Size, part: int = 0, *, uvloop: bool) -> None:
        context = multiprocessing.get_context("spawn")
        self._orders, theirs = context.Pipe()
        arguments = theirs, name, place, size, part, uvloop
        self._process = context.Process(target=serve, args=arguments, daemon=True)
        self._process.start()
        theirs.close()

    def prepare(self, operation: Operation) -> None:
        self._orders.send(operation.name)

    def is_ready(self) -> bool:
        return bool(self._answer())

    def start(self, callers: int, seconds: float) -> None:
        self._orders.send((callers, seconds))

    def finish(self) -> Turn:
        turn: Turn = self._answer()
        return turn

    def close(self) -> None:
        self._orders.send(None)
        self._process.join()

    def _answer(self) -> Any:
        answer = self._orders.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer


@dataclass
class Contestant:
    """A peer under the name of its figures, with one process or with several."""

    name: str
    processes: Sequence[Process]
    compiled: bool = False
    """Whether it has been warmed up, for whichever operation."""

    def offers(self, operation: Operation) -> bool:
        """Get ready for an operation; return whether the peer has it."""
        for each in self.processes:
            each.prepare(operation)
        ready = [each.is_ready() for each in self.processes]
        return all(ready)

    def warm_up(self, callers: int, seconds: float) -> None:
        """Let all processes call, so that PostgreSQL and the peer have done what they do once.

        PostgreSQL plans the first five calls of a prepared statement anew. Node.js compiles what it
        has called often, which is needed for the first operation alone, but by each process.
        """
        if not self.compiled:
            seconds = max(seconds, COMPILING) * len(self.processes)
            self.compiled = True
        self.turns(callers, seconds)

    def turn(self, callers: int, seconds: float) -> Turn:
        """Let the first process call."""
        (turn,) = self._turns(self.processes[:1], callers, seconds)
        return turn

    def turns(self, callers: int, seconds: float) -> list[Turn]:
        """Let all processes call at once."""
        return self._turns(self.processes, callers, seconds)

    def close(self) -> None:
        for each in self.processes:
            each.close()

    @staticmethod
    def _turns(processes: Sequence[Process], callers: int, seconds: float) -> list[Turn]:
        for each in processes:
            each.start(callers, seconds)
        return [each.finish() for each in processes]
