"""The domain's named queries."""

from __future__ import annotations

from digitwin.kernel.sql.queries import Queries

QUERIES = Queries(__package__, table="users")
