"""The twin's owners."""
