"""Nuncius, the service: alerts enter at the top of this package and leave at the bottom."""
