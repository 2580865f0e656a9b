"""The table of memories, declared."""

from digitwin.kernel.sql.tables import OWNER_ID, PERSONAL, TIMES, PersonalData, Table, declare

declare(
    Table(
        name="memories",
        rights=PERSONAL,
        person="user_id",
        personal=PersonalData(
            title="Memories",
            key=("user_id", "audience", "namespace", "key"),
            columns={
                **OWNER_ID,
                "audience": "for whom the twin remembers it: owner or visitor",
                "namespace": "its place, from the root, separated by periods",
                "key": "its key there",
                "value": "what is remembered",
                "language": "by which its words are compared",
                "ttl_seconds": "how long it lives after its last use; empty: for good",
                "expires_at": "when it ends by itself",
                **TIMES,
            },
            left_out={"words": "the words of the value, made from it"},
            batch=20,
        ),
    )
)
