"""Removes sessions after their retention, and archives them before."""
