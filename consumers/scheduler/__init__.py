"""A telescope's night for the map of an event: ``python -m consumers.scheduler``."""
