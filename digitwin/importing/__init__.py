"""Imports conversations and documents from files.

Imports stream, can be interrupted and rerun (existing data is skipped), and continue after an
invalid record, which the report lists.
"""

from digitwin.importing.conversations import ConversationImport, import_conversations
from digitwin.importing.documents import DocumentImport, import_documents
from digitwin.importing.reports import BadRecord

__all__ = [
    "BadRecord",
    "ConversationImport",
    "DocumentImport",
    "import_conversations",
    "import_documents",
]
