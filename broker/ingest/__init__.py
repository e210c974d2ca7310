"""Bytes from outside, appended to ``raw.<stream>`` exactly as received."""
