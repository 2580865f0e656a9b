"""A table that only declares itself, in a process of its own: run by ``test_new_table.py``.

It knows nothing of roles, deletions, exports or erasures, and takes part in all of them.
"""

from __future__ import annotations

import asyncio
import sys

import asyncpg
from tortoise import fields

from digitwin.kernel.orm.model import SoftDeleteEntity
from digitwin.kernel.primitives.ids import uuid7
from digitwin.kernel.sql.tables import OWNER_ID, PERSONAL, PersonalData, Table, declare


class Diary(SoftDeleteEntity):
    """A new table's model."""

    __module__ = "digitwin.models"

    user_id = fields.UUIDField()
    text = fields.TextField()

    class Meta:
        table = "diaries"
        app = "digitwin"


declare(
    Table(
        name="diaries",
        rights=PERSONAL,
        person="user_id",
        personal=PersonalData(
            title="Diaries",
            columns={**OWNER_ID, "id": "the entry's id", "text": "what was written"},
            left_out=dict.fromkeys(
                ("version", "created_at", "updated_at", "deleted_at", "deletion_id"), "not told"
            ),
        ),
    )
)
# After the declaration, as in a new domain, which `digitwin.models` imports
import digitwin  # noqa: E402
from digitwin import roles  # noqa: E402

_TABLE = """
CREATE TABLE diaries (
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE, id uuid NOT NULL, text text NOT NULL,
    version int NOT NULL DEFAULT 1, created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(), deleted_at timestamptz, deletion_id uuid,
    PRIMARY KEY (user_id, id)
)
"""


async def main(url: str) -> None:
    superuser = await asyncpg.connect(url)
    await superuser.execute(_TABLE)
    await roles.apply(superuser)
    async with digitwin.connect(url, migrate="skip") as db:
        ada = await db.users.create(email="ada@example.com", name="Ada")
        bob = await db.users.create(email="bob@example.com", name="Bob")
        for owner in (ada, bob):
            await superuser.execute("INSERT INTO diaries VALUES ($1, $2, 'x')", owner.id, uuid7())
        mine = db._core.scoped(digitwin.kernel.connection.scopes.of_person(bob.id)).db
        assert await mine.fetchval("SELECT count(*) FROM diaries") == 1, "row security"
        await db.users.delete(ada.id)
        assert await Diary.all().count() == 1, "hidden with the owner"
        await db.users.restore(ada.id)
        assert await Diary.all().count() == 2, "restored with the owner"
        archive = b"".join([chunk async for chunk in db.privacy.export(ada.id)])
        assert b"data/diaries.ndjson" in archive, "exported"
        receipt = await db.privacy.erase(ada.id, reason="asked")
        assert receipt.counts["diaries"] == 1, "erased"
        assert await superuser.fetchval("SELECT count(*) FROM diaries") == 1, "of one person alone"
    await superuser.close()
    print("all derived")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
