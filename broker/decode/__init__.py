"""Bytes to columns: pure functions from records to a `Batch`."""
