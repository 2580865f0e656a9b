"""Who said what to whom, turn by turn."""
