"""The contestants: one module each, with a method for each operation that it offers."""

from __future__ import annotations

from typing import Final

from benchmarks.peers.alchemy import AdvancedAlchemy
from benchmarks.peers.base import Peer
from benchmarks.peers.floor import Floor
from benchmarks.peers.ours import Digitwin, Scoped
from benchmarks.peers.pooled import Pooled
from benchmarks.peers.psycopg3 import Psycopg, PsycopgTuned
from benchmarks.peers.redis_cache import Cashews, RedisPy
from benchmarks.peers.redis_limits import Limits, ThrottledPy
from benchmarks.peers.sqlalchemy_orm import SqlalchemyOrm
from benchmarks.peers.tortoise_plain import PlainTortoise

PEERS: Final[list[type[Peer]]] = [
    Digitwin,
    Scoped,
    Floor,
    Pooled,
    Psycopg,
    PsycopgTuned,
    PlainTortoise,
    SqlalchemyOrm,
    AdvancedAlchemy,
    RedisPy,
    Cashews,
    Limits,
    ThrottledPy,
]
"""In the order of the tables."""
