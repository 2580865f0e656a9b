"""Limiters on Redis."""

from __future__ import annotations

from typing import Any

from limits import RateLimitItemPerHour
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.asyncio import BlockingConnectionPool
from throttled.asyncio import RateLimiterType, RedisStore, Throttled, per_hour

from benchmarks.operations import ENDPOINT, LIMIT
from benchmarks.peers.base import POOL, Peer


class Limits(Peer):
    """It has no token bucket: its sliding window, counted, comes nearest at the least cost."""

    name, title, packages = "limits", "limits on Redis", ("limits", "redis")
    on_redis = True

    async def open(self) -> None:
        address = f"async+{self.place.redis_url}".replace("async+unix:", "async+redis+unix:")
        pool: Any = BlockingConnectionPool.from_url(self.place.redis_url, max_connections=POOL)
        storage = RedisStorage(address, implementation="redispy", connection_pool=pool)
        self._pool = pool
        self._limiter = SlidingWindowCounterRateLimiter(storage)
        self._item = RateLimitItemPerHour(LIMIT)

    async def close(self) -> None:
        await self._pool.aclose()

    async def consume(self, subject: str) -> Any:
        return await self._limiter.hit(self._item, subject, ENDPOINT)


class ThrottledPy(Peer):
    """Its token bucket."""

    name, title, packages = "throttled", "throttled-py on Redis", ("throttled-py", "redis")
    on_redis = True

    async def open(self) -> None:
        self._store = RedisStore(
            server=self.place.redis_url,
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
