"""What is inside a session besides its turns: items, what they cost, what answers used."""
