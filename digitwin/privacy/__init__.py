"""Data protection: export and erasure of everything held about a person."""
