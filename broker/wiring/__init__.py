"""The composition root: plain functions that put the parts together from settings."""
