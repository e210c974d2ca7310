"""Files of frames: their names, and which rows of which are to be read.

A segment holds the rows of a run of offsets of one partition, and is named by them and by the instant it was written:
``stream=<stream>/night=<date>/<topic>-<partition>-<first>-<last>-<stamp>.parquet``. It is never changed. Where segments overlap
the newest has the say, offset by offset: a batch done again, with the same bounds or others, replaces what it covers, and so
does a merge of segments what it was made of, at the instant its name appears.
"""

from __future__ import annotations

import io
import os
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

__all__ = ["TEMPORARY", "Piece", "Segment", "listing", "night_of", "resolve", "write_file"]

TEMPORARY = ".tmp"

Range = tuple[int, int]
"""Offsets, both inclusive."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A file of rows.

    Parameters
    ----------
    folder
        It is in.
    topic, partition, first, last
        Offsets it speaks for, both inclusive.
    stamp
        When it was written, nanoseconds since the Unix epoch.
    """

    folder: Path
    topic: str
    partition: int
    first: int
    last: int
    stamp: int

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.folder / f"{self.topic}-{self.partition}-{self.first:012d}-{self.last:012d}-{self.stamp:016x}.parquet"


@dataclass(frozen=True, slots=True)
class Piece:
    """A segment to be read, less the offsets that newer ones speak for."""

    segment: Segment
    hidden: tuple[Range, ...] = ()


def night_of(micros: int) -> str:
    """Date on which the night of an instant begins: from noon to noon, UTC, as Rubin counts its days."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros) - timedelta(hours=12)).date().isoformat()


def listing(root: Path, streams: Collection[str] | None = None, since: str = "") -> list[Segment]:
    """Every segment there is of some streams, and of nights from a date on, superseded ones too."""
    found: list[Segment] = []
    for stream in _folders(root, "stream="):
        if streams is None or stream.name.removeprefix("stream=") in streams:
            for night in _folders(stream, "night="):
                if night.name.removeprefix("night=") < since:
                    continue
                found.extend(segment for name in _names(night) if (segment := _parse(night, name)) is not None)
    return found


def resolve(segments: Iterable[Segment]) -> tuple[list[Piece], list[Segment]]:
    """Pieces to read, by partition and offset, and the segments of which nothing is left to read.

    Returns
    -------
    list of Piece, list of Segment
        No offset of a partition is in two pieces.
    """
    places: defaultdict[tuple[str, int], list[Segment]] = defaultdict(list)
    for segment in segments:
        places[segment.topic, segment.partition].append(segment)
    pieces: list[Piece] = []
    superseded: list[Segment] = []
    for place in sorted(places):
        taken = _Offsets()
        kept: list[Piece] = []
        for segment in sorted(places[place], key=lambda each: (-each.stamp, each.first)):
            hidden = taken.within(segment.first, segment.last)
            if hidden == ((segment.first, segment.last),):
                superseded.append(segment)
            else:
                kept.append(Piece(segment, hidden))
                taken.add(segment.first, segment.last)
        pieces.extend(sorted(kept, key=lambda piece: (piece.segment.first, piece.segment.stamp)))
    return pieces, superseded


def write_file(
    frame: pl.DataFrame | pl.LazyFrame, path: Path, *, durable: bool, metadata: Mapping[str, str] | None = None
) -> None:
    """Write a Parquet file, and what it says of itself, so that it is there whole or not at all."""
    said = dict(metadata or {})
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        if isinstance(frame, pl.LazyFrame):
            frame.sink_parquet(temporary, compression="zstd", compression_level=1, metadata=said)
        else:
            # By way of memory: polars tells of a full disk in words that cannot be told from a bug.
            written = io.BytesIO()
            frame.write_parquet(written, compression="zstd", compression_level=1, metadata=said)
            temporary.write_bytes(written.getbuffer())
        if durable:
            _sync(temporary)
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)  # on a full disk it takes the place that is wanting
        raise
    if durable:
        _sync(path.parent)


class _Offsets:
    """A set of offsets as sorted ranges that neither overlap nor touch."""

    def __init__(self) -> None:
        self._first: list[int] = []
        self._last: list[int] = []

    def within(self, first: int, last: int) -> tuple[Range, ...]:
        """Those of the set between two offsets."""
        low, high = bisect_left(self._last, first), bisect_right(self._first, last)
        return tuple((max(self._first[i], first), min(self._last[i], last)) for i in range(low, high))

    def add(self, first: int, last: int) -> None:
        """Put in a range."""
        low, high = bisect_left(self._last, first - 1), bisect_right(self._first, last + 1)
        if low < high:
            first, last = min(first, self._first[low]), max(last, self._last[high - 1])
        self._first[low:high], self._last[low:high] = [first], [last]


def _folders(parent: Path, prefix: str) -> Iterator[Path]:
    if parent.is_dir():
        yield from sorted(Path(entry.path) for entry in os.scandir(parent) if entry.name.startswith(prefix))


def _names(folder: Path) -> list[str]:
    return [entry.name for entry in os.scandir(folder) if entry.name.endswith(".parquet")]


def _parse(folder: Path, name: str) -> Segment | None:
    try:
        topic, partition, first, last, stamp = name.removesuffix(".parquet").rsplit("-", 4)
        return Segment(folder, topic, int(partition), int(first), int(last), int(stamp, 16))
    except ValueError:  # not one of ours
        return None


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
