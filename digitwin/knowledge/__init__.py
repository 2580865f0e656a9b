"""What a twin knows, and how it is found."""
