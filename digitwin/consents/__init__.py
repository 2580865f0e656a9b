"""What a person has agreed to, and until when."""
