"""Which columns were made for the rows of a file of frames: one without a single value is not kept, and was made all the same.

Told in the file's own metadata by runs of offsets, since a merged file holds rows of several makings.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Final

import polars as pl

from broker.store.segments import Piece, Range

__all__ = ["Run", "metadata", "of_merged", "runs_of"]

KEY: Final = "nuncius.made"

Run = tuple[int, int, frozenset[str]]
"""First and last offset, both inclusive, and the names of the columns that were made for them."""


def metadata(runs: Sequence[Run]) -> dict[str, str]:
    """What a file says of its rows."""
    sets = list(dict.fromkeys(names for _, _, names in runs))
    number = {names: place for place, names in enumerate(sets)}
    told = [[first, last, number[names]] for first, last, names in _joined(runs)]
    return {KEY: json.dumps({"sets": [sorted(names) for names in sets], "runs": told}, separators=(",", ":"))}


def of_merged(pieces: Collection[Piece]) -> list[Run]:
    """Of the file that pieces are merged into."""
    return sorted((run for piece in pieces for run in runs_of(piece)), key=lambda run: run[:2])


def runs_of(piece: Piece) -> list[Run]:
    """Runs of the offsets that a piece shows; one of before this was told was made of the columns it has."""
    segment = piece.segment
    found = _told(str(segment.path))
    if isinstance(found, frozenset):
        found = ((segment.first, segment.last, found),)
    return [(*shown, names) for first, last, names in found for shown in _less((first, last), piece.hidden)]


@lru_cache(maxsize=65_536)
def _told(path: str) -> tuple[Run, ...] | frozenset[str]:
    """What a file says, which never changes; else its columns, none where it cannot be read."""
    try:
        told = pl.read_parquet_metadata(path).get(KEY)
        if told is None:
            return frozenset(pl.read_parquet_schema(path))
    except FileNotFoundError:
        raise
    except (pl.exceptions.PolarsError, OSError):  # `broker.store.columns` tells of it
        return frozenset()
    said = json.loads(told)
    sets = [frozenset(names) for names in said["sets"]]
    return tuple((first, last, sets[number]) for first, last, number in said["runs"])


def _joined(runs: Sequence[Run]) -> list[Run]:
    """Neighbours alike as one."""
    found: list[Run] = []
    for first, last, names in runs:
        if found and found[-1][2] == names and found[-1][1] < first:
            found[-1] = (found[-1][0], last, names)
        else:
            found.append((first, last, names))
    return found


def _less(whole: Range, hidden: Sequence[Range]) -> list[Range]:
    """A range without those that lie in it, which are ascending."""
    first, last = whole
    left: list[Range] = []
    for low, high in hidden:
        if high < first or low > last:
            continue
        if low > first:
            left.append((first, low - 1))
        first = high + 1
    return [*left, (first, last)] if first <= last else left
