"""What a twin sounds and looks like."""
