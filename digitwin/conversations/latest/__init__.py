"""The end of a conversation: its newest items, and the last one taken back."""
