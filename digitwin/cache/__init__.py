"""Cached values: embeddings, searches, responses."""
