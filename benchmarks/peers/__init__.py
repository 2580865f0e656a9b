"""The contestants: one module each, with a method for each operation that it offers."""

from __future__ import annotations

from typing import Final

from benchmarks.peers.base import Peer
from benchmarks.peers.floor import Floor
from benchmarks.peers.ours import Digitwin, Scoped
from benchmarks.peers.psycopg3 import Psycopg, PsycopgTuned
from benchmarks.peers.sqlalchemy_orm import SqlalchemyOrm
from benchmarks.peers.throttled_py import ThrottledPy
from benchmarks.peers.tortoise_orm import PlainTortoise

PEERS: Final[dict[str, type[Peer]]] = {
    peer.name: peer
    for peer in (
        Digitwin,
        Scoped,
        Floor,
        Psycopg,
        PsycopgTuned,
        PlainTortoise,
        SqlalchemyOrm,
        ThrottledPy,
    )
}
"""In the order of the tables."""
