"""The table of consents, declared."""

from digitwin.kernel.sql.tables import DEPENDENT, OWNER_ID, PersonalData, Table, declare

declare(
    Table(
        name="consents",
        rights=DEPENDENT,
        person="user_id",
        personal=PersonalData(
            title="Consents",
            columns={
                **OWNER_ID,
                "id": "the consent's id",
                "purpose": "for what: voice, face or recording",
                "evidence": "what shows that it was given",
                "granted_at": "when it was given",
                "expires_at": "when it ends by itself",
                "withdrawn_at": "when it was withdrawn",
            },
        ),
    )
)
