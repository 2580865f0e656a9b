"""The table of wrapped keys, declared."""

from digitwin.kernel.sql.tables import KEYS, OWNER_ID, TIMES, PersonalData, Table, declare

declare(
    Table(
        name="user_keys",
        rights=KEYS,
        personal=PersonalData(
            title="The key of what is encrypted",
            key=("user_id",),
            columns={},
            exported=False,
            left_out={
                **OWNER_ID,
                "key_id": "which master key the person's key is wrapped with",
                "wrapped": "a key opens what is exported anyway, and is a secret",
                **TIMES,
            },
        ),
    )
)
