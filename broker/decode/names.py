"""Names as databases take them: legible, and short enough for an index."""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

__all__ = ["LONGEST", "endless", "key", "legible", "short"]

LONGEST: Final = 400
"""Bytes: no true name has more. What databases index is short: PostgreSQL takes 2.7 kB, of two names together."""


def legible(text: str) -> str:
    """Text without what JSON can write and a database or UTF-8 cannot hold: zero bytes, half surrogate pairs."""
    return text.encode("utf-8", "replace").decode().replace("\0", "?")


def short(name: str) -> str:
    """A name itself, or its beginning and its digest if it is longer than any true one: one name stays one."""
    data = name.encode()
    if len(data) <= LONGEST:
        return name
    digest = hashlib.blake2b(data, digest_size=16).hexdigest()
    return f"{data[:LONGEST].decode('utf-8', 'ignore')}#{digest[:16]}"


def key(text: str) -> str:
    """A name, legible and short."""
    return short(legible(text))


def endless(names: pl.Series) -> npt.NDArray[np.bool_]:
    """Which of some names are longer than any true one."""
    return (names.str.len_bytes() > LONGEST).fill_null(value=False).to_numpy()
