"""Adapters to agent frameworks, over the public API; each is an extra of its own."""
