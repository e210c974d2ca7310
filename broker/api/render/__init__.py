"""Answers in formats other than JSON."""
