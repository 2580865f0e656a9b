"""Pages of sessions, for lists that people read."""
