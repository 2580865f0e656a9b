"""The tables of users and of their deletions, declared."""

from digitwin.kernel.sql.tables import (
    DELETION,
    DEPENDENT,
    OWNER_ID,
    PERSONAL,
    TIMES,
    VERSION,
    PersonalData,
    Table,
    declare,
)

declare(
    Table(
        name="users",
        rights=PERSONAL,
        person="id",
        personal=PersonalData(
            title="The person",
            key=("id",),
            found_by="id = :person",
            columns={
                "id": "the person's id",
                "email": "the e-mail address",
                "name": "the name",
                "personality_traits": "the person's traits, for the twin",
                "settings": "preferences",
                "subscription_tier": "free, pro or enterprise",
                **VERSION,
                **TIMES,
                **DELETION,
            },
        ),
    ),
    Table(
        name="user_emails",
        rights=PERSONAL,
        person="user_id",
        personal=PersonalData(
            title="E-mail address in use",
            key=("address",),
            columns={"address": "the address, as it is compared", **OWNER_ID},
        ),
    ),
    Table(
        name="deletions",
        rights=DEPENDENT,
        person="user_id",
        personal=PersonalData(
            title="What was deleted",
            columns={
                **OWNER_ID,
                "id": "the deletion's id, which all that went with it carries",
                "resource": "user, voice_model, face_model or document",
                "resource_id": "its id; of several that were deleted together, the first",
                "reason": "why, if a reason was given",
                "actor_id": "who acted, if known",
                "deleted_at": "when",
                "restored_at": "when it was restored",
                "final_at": "when what it hid was removed for good",
            },
        ),
    ),
)
