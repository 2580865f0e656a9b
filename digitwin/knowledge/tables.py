"""The table of documents, declared."""

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

declare(
    Table(
        name="knowledge_documents",
        rights=PERSONAL,
        person="user_id",
        personal=PersonalData(
            title="Documents",
            batch=2,
            columns={
                **OWNER_ID,
                "id": "the document's id",
                "title": "its title",
                "content": "its text",
                "content_type": "the kind of text",
                "source_uri": "where it came from",
                "content_hash": "the SHA-256 of its text",
                "visibility": "who may see it: owner or visitors",
                "status": "pending, processing, ready or failed",
                "error": "why it failed",
                "attempts": "how often it was processed",
                "worker": "who is processing it",
                "lease_until": "when that worker's lease ends",
                "metadata": "notes of the service about it",
                **VERSION,
                **TIMES,
                **DELETION,
            },
            left_out={
                "lease_token": "a random number of that lease",
                "search_vector": "computed from title and content, for search",
            },
        ),
    )
)
