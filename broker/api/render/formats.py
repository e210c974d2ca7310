"""The shapes a table can be had in, known without what writes them."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Format"]


class Format(StrEnum):
    """Shapes a table can be had in."""

    json = "json"
    csv = "csv"
    parquet = "parquet"
    votable = "votable"
