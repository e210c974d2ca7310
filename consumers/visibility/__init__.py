"""When a target, or the map of an event, is up at night: ``python -m consumers.visibility``."""
