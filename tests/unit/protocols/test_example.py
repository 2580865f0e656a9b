"""The README's example of a fake: run here, and checked for its types by ``make check``."""

from typing import Any
from uuid import UUID

from digitwin import Decision
from digitwin.protocols import TokenBuckets


async def status_of_chat(limits: TokenBuckets, user_id: UUID | str) -> int:
    allowed = await limits.consume(user_id, "/chat", limit=60, window=60)
    return 200 if allowed else 429


class SpentBudget:
    async def consume(self, subject: UUID | str, endpoint: str, **request: Any) -> Decision:
        return Decision(False, request["limit"], remaining=0, retry_after=1.0, reset_after=60.0)


async def test_a_spent_budget_is_429() -> None:
    assert await status_of_chat(SpentBudget(), "ada") == 429
