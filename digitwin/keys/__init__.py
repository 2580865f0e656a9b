"""Encryption of sensitive fields: a key for each person, wrapped with a master key."""
