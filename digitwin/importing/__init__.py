"""Bringing in what a twin should know from files: conversations and documents.

Both stream, may be stopped and run again (what is there already is skipped), and go on after
a bad record, which the report lists.
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
