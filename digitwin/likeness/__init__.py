"""Voice and face models of a twin."""
