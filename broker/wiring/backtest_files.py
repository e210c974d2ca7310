"""Files of frames that a backtest reads, grouped so that the rows of a group have the same columns."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from broker.store import columns, made
from broker.store.segments import Piece

__all__ = ["Groups", "Part", "frames", "grouped", "stretched"]


@dataclass(frozen=True, slots=True)
class Part:
    """Offsets of a piece whose rows have the same columns."""

    piece: Piece
    first: int
    last: int
    whole: bool


Groups = dict[tuple[str, str, frozenset[str], object], list[Part]]
"""Parts of pieces by stream, night, what they lack, and the types of what they have."""


def grouped(pieces: Sequence[Piece], wanted: frozenset[str], surveys: Collection[str]) -> Groups:
    """Pieces by what they have of the wanted columns.

    Parameters
    ----------
    surveys
        Streams of surveys. What of a notice's field is a number and what text depends on the notices that came together: each
        file of theirs is a group.
    """
    groups: Groups = {}
    for piece in pieces:
        folder = piece.segment.folder
        stream, night = folder.parent.name.removeprefix("stream="), folder.name.removeprefix("night=")
        schema = columns.read_pieces([piece]).collect_schema()
        kinds: object = piece
        if stream in surveys:
            kinds = tuple((name, schema[name]) for name in sorted(wanted) if name in schema)
        runs = made.runs_of(piece)
        for first, last, names in runs:
            lacking = frozenset(wanted - names)
            groups.setdefault((stream, night, lacking, kinds), []).append(Part(piece, first, last, len(runs) == 1))
    return groups


def stretched(parts: Sequence[Part], most: int) -> Iterator[list[Part]]:
    """Parts, so many together as have about `most` offsets."""
    some: list[Part] = []
    size = 0
    for part in parts:
        some.append(part)
        size += part.last - part.first + 1
        if size >= most:
            yield some
            some, size = [], 0
    if some:
        yield some


def frames(parts: Sequence[Part]) -> Iterator[pl.LazyFrame]:
    """Rows of parts."""
    whole = [part.piece for part in parts if part.whole]
    if whole:
        yield columns.read_pieces(whole)
    for part in parts:
        if not part.whole:
            yield columns.read_pieces([part.piece]).filter(pl.col("nuncius.offset").is_between(part.first, part.last))
