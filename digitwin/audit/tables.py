"""The tables of the audit trail, declared."""

from digitwin.kernel.sql.tables import SEALS, TRAIL, PersonalData, Table, declare

declare(
    Table(
        name="audit_logs",
        rights=TRAIL,
        is_partitioned=True,
        personal=PersonalData(
            title="What was done, by the person or about them",
            columns={
                "user_id": "whom it concerns",
                "id": "the record's id",
                "action": "what was done",
                "resource": "to what kind of thing",
                "resource_id": "to which one",
                "actor_id": "who did it",
                "result": "success, failure or denied",
                "ip_address": "from where",
                "user_agent": "with which program",
                "metadata": "what else was noted",
                "created_at": "when",
            },
            found_by="(user_id = :person OR actor_id = :person"
            " OR resource_id = :person::uuid::text)",
            erasure="trail",
        ),
    ),
    Table(name="audit_seals", rights=SEALS, holds="digests of the trail, and signatures"),
    Table(
        name="audit_leaves",
        rights=SEALS,
        holds="salted digests of the trail's records; the salts of the erased are gone",
    ),
    Table(
        name="audit_checkpoints",
        rights=SEALS,
        holds="what retention has removed from the trail",
    ),
)
