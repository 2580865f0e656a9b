"""The tables of erasures, declared."""

from digitwin.kernel.connection.scopes import APPLICATION, OWNER, RETENTION, SERVICE
from digitwin.kernel.sql.tables import ALL_ROWS, KEPT, Rights, Table, declare

declare(
    Table(
        name="erasures",
        # the application asks whether a person was erased before it stores for them
        rights=Rights(OWNER, {APPLICATION: "SELECT", SERVICE: "SELECT", RETENTION: KEPT}),
        holds="who was erased, as a hash",
    ),
    Table(
        name="artifact_deletions",
        rights=Rights(OWNER, {APPLICATION: "INSERT", SERVICE: ALL_ROWS, RETENTION: ALL_ROWS}),
        holds="encrypted addresses of artifacts of the erased, until they are deleted",
    ),
)
