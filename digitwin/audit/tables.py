"""The tables of the audit trail, declared."""

from digitwin.kernel.sql.spelling import spellings
from digitwin.kernel.sql.tables import CHECKPOINTS, SEALS, TRAIL, PersonalData, Table, declare

declare(
    Table(
        name="audit_logs",
        rights=TRAIL,
        is_partitioned=True,
        personal=PersonalData(
            title="What was done, by the person or about them",
            columns={
                "user_id": "the person it concerns",
                "id": "the record's id",
                "action": "what was done",
                "resource": "the kind of object",
                "resource_id": "the object's id",
                "actor_id": "who acted",
                "result": "success, failure or denied",
                "ip_address": "the network address",
                "user_agent": "the client program",
                "metadata": "further details",
                "created_at": "when",
            },
            found_by="(user_id = :person OR actor_id = :person"
            f" OR resource_id = ANY({spellings(':person::uuid::text')}))",
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
        rights=CHECKPOINTS,
        holds="what retention has removed from the trail",
    ),
)
