"""Packets of true shape and size, from a seed."""
