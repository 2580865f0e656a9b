"""People side by side on few connections: each sees their own rows, whatever happens to the calls.

A longer run, with other dice::

    DIGITWIN_TEST_CROWD_CALLS=1000000 DIGITWIN_TEST_CROWD_SEED=7 \
        make test PYTEST_ARGS="-n 0 -s tests/integration/scopes/test_crowd.py"
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter

import pytest

from digitwin.connecting import connect
from tests.integration.scopes.crowd import crowd

CALLS = int(os.environ.get("DIGITWIN_TEST_CROWD_CALLS", "2000"))
SEED = int(os.environ.get("DIGITWIN_TEST_CROWD_SEED", "1"))


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_nobody_meets_another(digitwin_url: str, loop: str) -> None:
    library = pytest.importorskip(loop)
    began = time.monotonic()
    with asyncio.Runner(loop_factory=library.new_event_loop) as runner:
        ended = runner.run(_crowd(digitwin_url))
    print(f"{ended.total()} calls in {time.monotonic() - began:.0f} s: {ended.most_common()}")
    assert ended.total() >= CALLS


async def _crowd(url: str) -> Counter[str]:
    async with connect(
        url, migrate="skip", pool_min=4, pool_max=4, acquire_timeout=60, statement_timeout=0.5
    ) as db:
        return await crowd(db, CALLS, SEED)
