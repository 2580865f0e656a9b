"""A handle that is open in another thread, for the synchronous calls of LangChain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import pytest

import digitwin
from digitwin.database import Database
from digitwin.models import User
from digitwin.testing.loop_thread import LoopThread, loop_thread

T = TypeVar("T")


@dataclass
class Opened:
    """A handle with a person, and the thread of its loop."""

    thread: LoopThread
    db: Database
    ada: User

    def made(self, make: Callable[[], T]) -> T:
        """Return what is made on the handle's loop."""

        async def on_loop() -> T:
            return make()

        return self.thread.run(on_loop())


@pytest.fixture
def opened(digitwin_url: str) -> Iterator[Opened]:
    with loop_thread() as thread:
        opening = digitwin.connect(digitwin_url)
        db = thread.run(opening.__aenter__())
        ada = thread.run(db.users.create(email="ada@example.com", name="Ada"))
        yield Opened(thread, db, ada)
        thread.run(opening.__aexit__(None, None, None))
