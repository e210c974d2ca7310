"""Alerts with what a filter reads, as it was when they came: from the frames where it is kept, else from the packet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import polars as pl

from broker.alert import COMMON
from broker.decode.dispatch import NOTICE_STREAMS
from broker.errors import ExpressionError, UsageError
from broker.filtering.definition import FilterSpec
from broker.filtering.evaluate import make_plan, pick
from broker.filtering.expression import compile_expression
from broker.filtering.parse import Parsed
from broker.process import associate, features
from broker.process.select import real_ones
from broker.store import columns
from broker.store.archive import Archive
from broker.store.segments import Piece, listing, resolve
from broker.wiring.backtest_files import Groups, Part, frames, grouped, stretched
from broker.wiring.names import by_steps, sources_of, suggestion
from broker.wiring.packet_columns import from_packets
from broker.wiring.parts import Parts

__all__ = ["Faults", "Reader", "Stretch", "bare", "mask"]

STRETCH: Final = 50_000  # offsets read at a time
PACKETS: Final = 500  # decoded at a time
ATTEMPTS: Final = 3  # a file can be merged away between the listing and the reading

Faults = Counter[str]
"""What went wrong while a filter ran, and how many alerts it was asked about then."""


@dataclass(slots=True)
class Stretch:
    """Alerts alike: of one stream, with the same columns kept.

    Parameters
    ----------
    frame
        Common columns, where they came from, and what of the filter's columns is kept.
    sought
        What was not made when they came, and is to be looked for in their packets.
    """

    stream: str
    frame: pl.DataFrame
    sought: frozenset[str]
    offsets: int


@dataclass(slots=True)
class Reader:
    """Reads the alerts a filter sees.

    Parameters
    ----------
    spec
        The filter.
    also
        Columns wanted beside those its condition reads.
    absent
        Alerts by column for which it was not kept and cannot be had any more.
    hoped, met
        Columns looked for in the packets of notices, whose fields nobody knows beforehand, and those that were anywhere.
    """

    parts: Parts
    spec: FilterSpec
    also: frozenset[str] = frozenset()
    absent: Counter[str] = field(default_factory=Counter)
    hoped: set[str] = field(default_factory=set)
    met: set[str] = field(default_factory=set)
    reads: frozenset[str] = frozenset()
    wanted: frozenset[str] = frozenset()
    _archive: Archive | None = None

    def __post_init__(self) -> None:
        self.reads = frozenset(compile_expression(self.spec.parsed).columns)
        self.wanted = frozenset(name for name in self.reads | self.also if name not in COMMON)

    def streams(self) -> list[str]:
        """Streams kept that the filter sees."""
        kept = {segment.folder.parent.name.removeprefix("stream=") for segment in listing(self.parts.frames)}
        return sorted(stream for stream in kept if self.spec.sees(stream))

    def offsets(self) -> int:
        """About how many alerts `stretches` will go through."""
        pieces, _ = resolve(listing(self.parts.frames, self.streams()))
        return sum(piece.segment.last - piece.segment.first + 1 for piece in pieces)

    def stretches(
        self,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        streams: Sequence[str] | None = None,
        only: pl.Expr | None = None,
        newest: bool = False,
        pieces: Sequence[Piece] | None = None,
    ) -> Iterator[Stretch]:
        """Alerts of a half-open window of time; one without a time counts by its receipt.

        Parameters
        ----------
        streams
            Only these.
        only
            What else must hold, on common columns.
        newest
            The nights last received first.
        pieces
            Read these; all that hold alerts of the streams where not given.

        Raises
        ------
        UsageError
            A column is known neither to the frames nor to any packet.
        """
        streams = self.streams() if streams is None else streams
        groups = self._groups(streams) if pieces is None else grouped(pieces, self.wanted, self.parts.declarations)
        self._check(groups, streams)
        order = sorted(groups.items(), key=lambda item: (item[0][1], item[0][0]), reverse=newest)
        for (stream, _, lacking, _), parts in order:
            sought = self._sought(stream, lacking)
            for some in stretched(parts[::-1] if newest else parts, PACKETS * 4 if sought else STRETCH):
                frame = self._read(some, start, end, only)
                for name in lacking - sought:
                    if by_steps(name) and (name not in associate.COLUMNS or stream in self.parts.declarations):
                        self.absent[name] += frame.height
                yield Stretch(stream, frame, sought, sum(part.last - part.first + 1 for part in some))

    def filled(self, stretch: Stretch, unsure: frozenset[str] = frozenset(), *, every: bool = False) -> pl.DataFrame:
        """A stretch's alerts with all there is of the filter's columns, but for those that clauses already refuse.

        A clause can refuse an alert whose packet has not been read if it reads none of what is sought there.

        Parameters
        ----------
        unsure
            Columns whose values are not those to go by.
        every
            Of those, too, that a clause refuses already.
        """
        frame = stretch.frame
        self.met |= set(frame.columns)
        if not stretch.sought and not unsure:
            return frame
        clauses = tuple(clause for clause in self.spec.parsed.clauses if not self._names(clause) & (stretch.sought | unsure))
        if clauses and not every and not frame.is_empty():
            try:
                plain = bare(frame)
                parsed = Parsed(self.spec.parsed.text, clauses)
                frame = frame.filter(
                    plain.lazy()
                    .select(pl.int_range(pl.len()).alias(""), compile_expression(parsed, plain.schema, lenient=True).expr)
                    .collect()
                    .to_series(1)
                )
            except (ExpressionError, pl.exceptions.PolarsError):
                frame = stretch.frame  # told of where the whole filter is asked
        if not stretch.sought or frame.is_empty():
            return frame
        self._archive = self._archive or Archive(self.parts.archive_root, "reader")
        found = [
            from_packets(self.parts, self._archive, stretch.stream, frame[at : at + PACKETS], stretch.sought)
            for at in range(0, frame.height, PACKETS)
        ]
        filled = pl.concat(found, how="diagonal_relaxed")
        self.hoped |= stretch.sought if stretch.stream not in self.parts.declarations else set()
        self.met |= set(filled.columns)
        return filled

    def pieces_of(self, row: Mapping[str, Any]) -> list[Piece]:
        """Files of frames that an alert's row may be in."""
        origin = row["origin"]
        return [
            piece
            for piece in resolve(listing(self.parts.frames, [row["stream"]]))[0]
            if (piece.segment.topic, piece.segment.partition) == (origin["topic"], origin["partition"])
            and piece.segment.first <= origin["offset"] <= piece.segment.last
        ]

    def one(self, row: Mapping[str, Any], there: Sequence[Piece] | None = None) -> pl.DataFrame:
        """One alert with all there is of the filter's columns; no row where the frames have it no longer.

        Parameters
        ----------
        row
            Of the database, as `broker.store.alerts.get` has it.
        there
            Its files, where they are known: looking for them takes as long as there are many.
        """
        there = self.pieces_of(row) if there is None else there
        only = pl.col("alert_id") == row["alert_id"]
        found = [
            self.filled(stretch, every=True) for stretch in self.stretches(streams=[row["stream"]], only=only, pieces=there)
        ]
        found = [rows for rows in found if not rows.is_empty()]
        return found[0] if found else pl.DataFrame(schema=COMMON)

    def unmet(self) -> list[str]:
        """What is wrong with columns that no notice looked at has."""
        names = sorted(self.hoped - self.met)
        return [f"no packet looked at has a field {name!r}{suggestion(self.parts, name, self.met)}" for name in names]

    def _names(self, clause: tuple[str, Any]) -> frozenset[str]:
        return compile_expression(Parsed(self.spec.parsed.text, (clause,))).columns

    def _groups(self, streams: Sequence[str]) -> Groups:
        for _ in range(ATTEMPTS - 1):
            try:
                return grouped(resolve(listing(self.parts.frames, streams))[0], self.wanted, self.parts.declarations)
            except FileNotFoundError:
                continue
        return grouped(resolve(listing(self.parts.frames, streams))[0], self.wanted, self.parts.declarations)

    def _read(self, some: Sequence[Part], start: datetime | None, end: datetime | None, only: pl.Expr | None) -> pl.DataFrame:
        try:
            return pl.concat([self._collected(lazy, start, end, only) for lazy in frames(some)], how="diagonal_relaxed")
        except FileNotFoundError:  # merged away in the meantime
            place = [
                (pl.col("nuncius.topic") == part.piece.segment.topic)
                & (pl.col("nuncius.partition") == part.piece.segment.partition)
                & pl.col("nuncius.offset").is_between(part.first, part.last)
                for part in some
            ]
            streams = {part.piece.segment.folder.parent.name.removeprefix("stream=") for part in some}
            return self._collected(columns.scan(self.parts.frames, streams).filter(pl.any_horizontal(place)), start, end, only)

    def _collected(
        self, lazy: pl.LazyFrame, start: datetime | None, end: datetime | None, only: pl.Expr | None
    ) -> pl.DataFrame:
        kept = lazy.collect_schema().names()
        names = [name for name in kept if name in COMMON or name in columns.PROVENANCE or name in self.wanted]
        rows = columns.timed(lazy, start, end)
        return (rows if only is None else rows.filter(only)).select(names).collect()

    def _check(self, groups: Groups, streams: Sequence[str]) -> None:
        """Refuse columns that nobody knows."""
        lacking = frozenset.intersection(*(key[2] for key in groups)) if groups else self.wanted
        strange = [name for name in lacking if not self._ours(name)]
        sources_of(self.parts, strange, streams or (*self.parts.declarations, *NOTICE_STREAMS))

    def _ours(self, name: str) -> bool:
        return (
            by_steps(name)
            or name.startswith(features.PREFIX)
            or name.partition(".")[0] in {catalog.name for catalog in self.parts.catalogs}
        )

    def _sought(self, stream: str, lacking: frozenset[str]) -> frozenset[str]:
        """What of a stream's lacking columns its packets may have."""
        found = set[str]()
        for name in lacking:
            if name.startswith(features.PREFIX):
                found |= {name} if stream in self.parts.declarations else set()
            elif not self._ours(name):
                try:
                    found |= sources_of(self.parts, [name], [stream])[stream]
                except UsageError:  # other streams, or packets of other years, have it
                    continue
        return frozenset(found)


def mask(spec: FilterSpec, frame: pl.DataFrame, faults: Faults) -> pl.Series:
    """Which rows a filter picks, as `broker.process.select.select` has it."""
    nothing = pl.Series([False] * frame.height, dtype=pl.Boolean)
    if frame.is_empty():
        return nothing

    def fault(_name: str, message: str) -> None:
        faults[message] += frame.height

    plain = bare(frame)
    picked = pick(make_plan([spec], plain.schema), plain, fault)
    wants = frozenset({spec.name} if spec.tests else ())
    rows = real_ones(picked, frame["alert_tense"], wants).get(spec.name)
    return nothing if rows is None else nothing.scatter(rows, values=True)


def bare(frame: pl.DataFrame) -> pl.DataFrame:
    """What filters see of rows."""
    return frame.drop(name for name in frame.columns if name.startswith("nuncius."))
