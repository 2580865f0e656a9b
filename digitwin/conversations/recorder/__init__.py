"""The turn recorder: calls of a live pipeline, written in order and in batches."""
