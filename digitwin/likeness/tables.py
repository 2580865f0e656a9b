"""The tables of voice and face models, declared."""

from digitwin.kernel.sql.tables import (
    DELETION,
    OWNER_ID,
    PERSONAL,
    TIMES,
    VERSION,
    PersonalData,
    Table,
    declare,
)


def _models(table: str, kind: str, title: str) -> Table:
    return Table(
        name=table,
        rights=PERSONAL,
        person="user_id",
        personal=PersonalData(
            title=title,
            columns={
                **OWNER_ID,
                "id": f"the {kind} model's id",
                "name": "its name",
                "provider": "who trained it",
                "artifact_uri": "where the trained model is kept (stored encrypted)",
                "checksum": "the trained model's checksum (stored encrypted)",
                "status": "pending, training, ready or failed",
                "quality_score": "how good it is, 0 to 1",
                "is_active": "whether the twin uses it",
                "metadata": "notes of the service about it",
                **VERSION,
                **TIMES,
                **DELETION,
            },
        ),
    )


declare(
    _models("voice_models", "voice", "Voices"),
    _models("face_models", "face", "Faces"),
)
