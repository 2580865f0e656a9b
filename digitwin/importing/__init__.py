"""Imports conversations and documents from files.

Imports stream, can be interrupted and rerun (existing data is skipped), and continue after an
invalid record, which the report lists.
"""

from digitwin.importing.conversations import ConversationImport, import_conversations
from digitwin.importing.documents import DocumentImport, import_documents
from digitwin.importing.reports import BadRecord
from digitwin.importing.transcripts import (
    TranscriptImport,
    import_histories,
    import_transcripts,
)

__all__ = [
    "BadRecord",
    "ConversationImport",
    "DocumentImport",
    "TranscriptImport",
    "import_conversations",
    "import_documents",
    "import_histories",
    "import_transcripts",
]
