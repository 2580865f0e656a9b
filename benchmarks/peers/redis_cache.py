"""Caches on Redis: its own client, packing by hand, and cashews, which packs by itself."""

from __future__ import annotations

import json
from typing import Any

from cashews import Cache
from redis.asyncio import BlockingConnectionPool, Redis

from benchmarks.operations import TTL
from benchmarks.packing import pack, unpack
from benchmarks.peers.base import POOL, StartsEmpty
from digitwin.kernel.primitives.jsonb import dumps


class RedisPy(StartsEmpty):
    """Redis' own client, with hiredis."""

    name, title, packages = "redis-py", "redis-py", ("redis", "hiredis")
    on_redis = True

    async def open(self) -> None:
        pool = BlockingConnectionPool.from_url(self.place.redis_url, max_connections=POOL)
        self._redis = Redis.from_pool(pool)

    async def close(self) -> None:
        await self._redis.aclose()

    async def embedding_get(self, key: str) -> Any:
        packed: Any = await self._redis.get(f"embedding:{key}")
        return None if packed is None else unpack(packed)

    async def embedding_set(self, key: str, vector: list[float]) -> Any:
        await self._redis.set(f"embedding:{key}", pack(vector), ex=TTL)

    async def response_get(self, key: str) -> Any:
        text = await self._redis.get(f"response:{key}")
        return None if text is None else json.loads(text)

    async def response_set(self, key: str, response: Any) -> Any:
        await self._redis.set(f"response:{key}", dumps(response), ex=TTL)


class Cashews(StartsEmpty):
    """A cache for asyncio, with its own way to pack."""

    name, title, packages = "cashews", "cashews on Redis", ("cashews", "redis")
    on_redis = True

    async def open(self) -> None:
        self._cache = Cache()
        # its own addresses know no socket, its client does
        self._cache.setup("redis://", address=self.place.redis_url, max_connections=POOL)
        await self._cache.init()

    async def close(self) -> None:
        await self._cache.close()

    async def embedding_get(self, key: str) -> Any:
        return await self._cache.get(f"cashews:embedding:{key}")

    async def embedding_set(self, key: str, vector: list[float]) -> Any:
        await self._cache.set(f"cashews:embedding:{key}", vector, expire=TTL)

    async def response_get(self, key: str) -> Any:
        return await self._cache.get(f"cashews:response:{key}")

    async def response_set(self, key: str, response: Any) -> Any:
        await self._cache.set(f"cashews:response:{key}", response, expire=TTL)
