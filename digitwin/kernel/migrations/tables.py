"""Declarations of the tables that hold the schema version."""

from digitwin.kernel.sql.tables import BOOKKEEPING, Table, declare

declare(
    Table(name="aerich", rights=BOOKKEEPING, holds="which migrations were applied"),
    Table(name="digitwin_schema", rights=BOOKKEEPING, holds="which version the schema has"),
)
