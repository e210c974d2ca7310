"""Arrays in, arrays out: the sky, and nothing of the service."""
