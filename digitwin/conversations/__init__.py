"""Conversation sessions, their turns and participants."""
