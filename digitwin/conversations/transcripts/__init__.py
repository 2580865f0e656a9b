"""Conversations as files: export and import as JSON lines, and the formats of language models."""
