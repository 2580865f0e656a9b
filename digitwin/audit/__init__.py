"""Who did what, never to be changed."""
