"""What the service keeps of a session in its own storage: recordings, videos, images, files."""
