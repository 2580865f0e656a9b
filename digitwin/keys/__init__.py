"""A key for each person, under a master key that lives elsewhere."""
