"""Documents that a twin knows: stored, searched, and processed by workers."""
