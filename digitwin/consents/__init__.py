"""Consents: what a person has agreed to, and until when."""
