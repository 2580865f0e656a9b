"""throttled-py: a limiter on Redis."""

from __future__ import annotations

from typing import Any

from throttled.asyncio import RateLimiterType, RedisStore, Throttled, per_hour

from benchmarks.operations import ENDPOINT, LIMIT
from benchmarks.peers.base import POOL, Peer


class ThrottledPy(Peer):
    """Its token bucket."""

    async def open(self) -> None:
        self._store = RedisStore(
            server=self.place.redis,
            options={
                "CONNECTION_POOL_CLASS": "redis.asyncio.BlockingConnectionPool",
                "CONNECTION_POOL_KWARGS": {"max_connections": POOL},
            },
        )
        self._throttle = Throttled(
            using=RateLimiterType.TOKEN_BUCKET.value, quota=per_hour(LIMIT), store=self._store
        )

    async def close(self) -> None:
        client: Any = self._store._backend.get_client()
        await client.aclose()

    async def consume(self, subject: str) -> Any:
        return not (await self._throttle.limit(f"{ENDPOINT}:{subject}")).limited
