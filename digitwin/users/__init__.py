"""Users: the owners of twins."""
