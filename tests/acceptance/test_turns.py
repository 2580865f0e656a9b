"""Five processes of ten writers on one session: no gap, and each key once, whatever happens."""

from __future__ import annotations

from collections import Counter

from digitwin.database import Database
from tests.integration.conversations import worker
from tests.integration.conversations.conftest import assert_gapless
from tests.integration.limits.processes import allowed, go, workers

PROCESSES, TASKS = 5, 10


async def test_positions_have_no_gap_over_processes_with_cancellations_repeats_and_an_end(
    digitwin_url: str, digitwin_db: Database
) -> None:
    ada = await digitwin_db.users.create(email="ada@example.com", name="Ada")
    session = await digitwin_db.sessions.start(ada.id)
    options = {"id": str(session.id), "user_id": str(ada.id)}
    async with workers(
        digitwin_url, PROCESSES, tasks=TASKS, worker=worker.__name__, **options
    ) as started:
        for process in started:
            go(process)
        assert started[0].stdout is not None
        said = await started[0].stdout.readexactly(30)  # in the middle of its run
        await digitwin_db.sessions.end(session.id)
        told = said.count(b"+") + sum([await allowed(process) for process in started])
        assert {process.returncode for process in started} == {0}
    turns = (await digitwin_db.sessions.with_turns(session.id)).turns
    alone = sum(turn.user_text == "alone" for turn in turns)
    assert told <= alone <= told + PROCESSES * TASKS  # a cancelled call may have stored its turn
    assert len(turns) < PROCESSES * TASKS * worker.TURNS
    keys = Counter(turn.idempotency_key for turn in turns if turn.idempotency_key)
    assert keys
    assert set(keys.values()) == {1}
    await assert_gapless(digitwin_db.sessions, session.id, len(turns))
