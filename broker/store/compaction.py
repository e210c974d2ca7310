"""Merge small files of frames into large ones, under the eyes of readers and writers."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from broker.store import made
from broker.store.columns import read_pieces
from broker.store.segments import TEMPORARY, Piece, Segment, listing, resolve, write_file
from broker.telemetry import get_logger

__all__ = ["Compacted", "compact"]

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Compacted:
    """What a compaction did: files merged into how many, and superseded files removed."""

    merged: int
    into: int
    removed: int


def compact(
    root: Path, older_than: float = 3600.0, *, grace: float = 600.0, target_bytes: int = 128 << 20, durable: bool = True
) -> Compacted:
    """Merge neighbouring segments of one night and partition, and remove what merges and repeats have superseded.

    A merged file takes the place of its parts at the instant its name appears. The parts stay until `grace` has passed, for
    those who have begun to read them. Any number of processes may compact at once; a process that dies leaves nothing to mend.

    Parameters
    ----------
    root
        Folder of the frames.
    older_than
        Seconds since a segment was written before it is merged.
    grace
        Seconds a superseded file is kept.
    target_bytes
        Size at which a file is large enough.
    """
    pieces, superseded = resolve(listing(root))
    removed = _remove(root, pieces, superseded, grace)
    horizon = time.time_ns() - int(older_than * 1e9)
    merged = into = 0
    for _, group in groupby(pieces, key=lambda piece: (piece.segment.topic, piece.segment.partition)):
        place = list(group)
        for run in _runs(place, horizon, target_bytes):
            result = _merged(run)
            if not _in_the_way(result, run, place):
                write_file(read_pieces(run), result.path, durable=durable, metadata=made.metadata(made.of_merged(run)))
                merged, into = merged + len(run), into + 1
    if merged or removed:
        log.info("frames compacted", merged=merged, into=into, removed=removed)
    return Compacted(merged, into, removed)


def _runs(place: Sequence[Piece], horizon: int, target_bytes: int) -> Iterator[list[Piece]]:
    """Neighbours worth merging: in one folder, all old enough, together about as large as wished."""
    run: list[Piece] = []
    size = 0
    for piece in place:
        piece_size = _size(piece.segment.path)
        fits = piece.segment.stamp <= horizon and piece_size < target_bytes
        if run and not (fits and run[0].segment.folder == piece.segment.folder and size < target_bytes):
            yield from [run] if len(run) > 1 else []
            run, size = [], 0
        if fits:
            run.append(piece)
            size += piece_size
    yield from [run] if len(run) > 1 else []


def _merged(run: Sequence[Piece]) -> Segment:
    """Newer than its parts by the least there is: whatever is written from now on is newer still."""
    segments = [piece.segment for piece in run]
    one = segments[0]
    first, last = min(segment.first for segment in segments), max(segment.last for segment in segments)
    return Segment(one.folder, one.topic, one.partition, first, last, max(segment.stamp for segment in segments) + 1)


def _in_the_way(result: Segment, run: Sequence[Piece], place: Sequence[Piece]) -> bool:
    """Whether the merged file would speak for rows of a segment it was not made of."""
    return any(
        piece.segment.first <= result.last and piece.segment.last >= result.first and piece.segment.stamp <= result.stamp
        for piece in place
        if piece not in run
    )


def _remove(root: Path, pieces: Sequence[Piece], superseded: Sequence[Segment], grace: float) -> int:
    places: defaultdict[tuple[str, int], list[Segment]] = defaultdict(list)
    for piece in pieces:
        places[piece.segment.topic, piece.segment.partition].append(piece.segment)
    before = time.time() - grace
    removed = 0
    for old in superseded:
        newer = (
            segment
            for segment in places[old.topic, old.partition]
            if segment.stamp > old.stamp and segment.first <= old.last and segment.last >= old.first
        )
        if all(_modified(segment.path) <= before for segment in newer):
            old.path.unlink(missing_ok=True)
            removed += 1
    for left in root.glob(f"stream=*/night=*/*{TEMPORARY}"):
        if _modified(left) <= before:
            left.unlink(missing_ok=True)
    return removed


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
