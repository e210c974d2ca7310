"""The ledger: for every batch, received = published + duplicate + rejected.

An entry is a batch's part of one partition. A batch done again after a crash may have other bounds, so writing an entry removes
those of its partition that begin at the same offset or later: they belong to work that was never committed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Literal

from sqlalchemy import Connection, Row, and_, delete, func, insert, or_, select

from broker.record import TopicPartition
from broker.store import tables
from broker.store.engine import Store, connection, transaction
from broker.store.times import now

__all__ = [
    "COUNTED",
    "Counts",
    "Entry",
    "Fault",
    "FaultKind",
    "Totals",
    "check",
    "counts_of",
    "halted",
    "mark_halted",
    "of_offsets",
    "record",
    "totals",
]

COUNTED = ("received", "published", "duplicate", "rejected", "matched")
_HALTED = "halted:"

FaultKind = Literal["sum", "gap", "expired", "overlap"]


@dataclass(frozen=True, slots=True)
class Counts:
    """Alerts, by what became of them; ``matched`` counts among the published those that some filter picked."""

    received: int = 0
    published: int = 0
    duplicate: int = 0
    rejected: int = 0
    matched: int = 0

    @property
    def balanced(self) -> bool:
        """Whether everything is accounted for."""
        return self.received == self.published + self.duplicate + self.rejected

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, name) + getattr(other, name) for name in COUNTED))


@dataclass(frozen=True, slots=True)
class Entry:
    """What became of one partition's part of a batch.

    Parameters
    ----------
    topic, partition
        The raw one.
    first_offset, last_offset
        Inclusive. Where the log skips offsets (Kafka's transaction markers), `first_offset` is the position the batch was
        polled from, so that one entry begins where another ended.
    stream, counts
        Of these records.
    """

    topic: str
    partition: int
    first_offset: int
    last_offset: int
    stream: str
    counts: Counts


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums of the ledger."""

    overall: Counts = Counts()
    by_stream: Mapping[str, Counts] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something in the ledger that does not add up.

    Parameters
    ----------
    kind
        ``sum``: more or fewer came out than went in; ``gap``: offsets no entry covers; ``expired``: the same, of records that
        the log has no longer; ``overlap``: offsets two entries cover.
    topic, partition, offset, stream
        The entry it was seen at, by its first offset.
    text
        In words.
    missing
        First and last offset that no entry covers.
    """

    kind: FaultKind
    topic: str
    partition: int
    offset: int
    stream: str
    text: str
    missing: tuple[int, int] = (0, -1)


def record(conn: Connection, entries: Sequence[Entry]) -> None:
    """Write a batch's entries in the transaction of what they count."""
    if not entries:
        return
    row = tables.ledger.c
    at = now()
    # Only what overlaps, as a batch done again does with another length: one who stalled and writes late must not take
    # away what the next owner of the partition has done meanwhile.
    undone = (
        and_(
            row.topic == entry.topic,
            row.partition == entry.partition,
            row.first_offset <= entry.last_offset,
            row.last_offset >= entry.first_offset,
        )
        for entry in entries
    )
    conn.execute(delete(tables.ledger).where(or_(*undone)))
    conn.execute(insert(tables.ledger), [_row(entry, at) for entry in entries])


def totals(store: Store) -> Totals:
    """Sums over all entries."""
    row = tables.ledger.c
    sums = (func.coalesce(func.sum(row[name]), 0) for name in COUNTED)
    with connection(store) as conn:
        rows = conn.execute(select(row.stream, *sums).group_by(row.stream).order_by(row.stream)).all()
    streams = {found[0]: Counts(*map(int, found[1:])) for found in rows}
    return Totals(sum(streams.values(), Counts()), streams)


def of_offsets(store: Store, spans: Mapping[TopicPartition, Sequence[tuple[int, int]]]) -> tuple[Totals, int]:
    """Sums over the entries in which some records were worked off.

    An entry is counted whole, so that the sums balance. Where others' records went through in the same batches they are
    counted along.

    Parameters
    ----------
    spans
        First and last offset of runs of those records, ascending, by partition.

    Returns
    -------
    Totals
        The sums.
    int
        How many other records the entries cover: the sums are exact where there are none.
    """
    row = tables.ledger.c
    by_stream: dict[str, Counts] = {}
    others = 0
    with connection(store) as conn:
        for (topic, partition), runs in spans.items():
            ends = [last for _, last in runs]
            near = and_(row.last_offset >= runs[0][0], row.first_offset <= ends[-1])
            query = select(tables.ledger).where(row.topic == topic, row.partition == partition, near)
            for found in conn.execute(query):
                first, last = found.first_offset, found.last_offset
                own = 0
                for begin, end in islice(runs, bisect_left(ends, first), None):
                    if begin > last:
                        break
                    own += min(end, last) - max(begin, first) + 1
                if own:
                    counts = counts_of(found)
                    by_stream[found.stream] = by_stream.get(found.stream, Counts()) + counts
                    others += last - first + 1 - own
    return Totals(sum(by_stream.values(), Counts()), by_stream), others


def check(store: Store, firsts: Mapping[TopicPartition, int] | None = None) -> list[Fault]:
    """Everything in the ledger that does not add up; none is as it should be.

    A first offset above zero is no fault: the log may have let go of what was before.

    Parameters
    ----------
    firsts
        First offset the log still has, by partition: what is missing before it has expired, and is told as such.
    """
    row = tables.ledger.c
    faults: list[Fault] = []
    with connection(store) as conn:
        stream = conn.execute(select(tables.ledger).order_by(row.topic, row.partition, row.first_offset))
        before: tuple[str, int, int] | None = None
        for found in stream.yield_per(10_000):
            counts = counts_of(found)
            if not counts.balanced:
                faults.append(_fault("sum", found, f"{counts} does not add up"))
            if before is not None and before[:2] == (found.topic, found.partition):
                expected = before[2] + 1
                if found.first_offset > expected:
                    faults.append(
                        _missing(found, expected, (firsts or {}).get(TopicPartition(found.topic, found.partition), 0))
                    )
                elif found.first_offset < expected:
                    faults.append(_fault("overlap", found, f"offsets {found.first_offset} to {before[2]} are in two entries"))
            before = (found.topic, found.partition, found.last_offset)
    return faults


def counts_of(found: Row[Any]) -> Counts:
    """Counts of an entry as the database has it."""
    return Counts(*(getattr(found, name) for name in COUNTED))


def mark_halted(store: Store, stream: str, *, halted: bool) -> None:
    """Tell every process that a stream has stopped because too much of it is rejected, or that it goes on."""
    counter = tables.counters
    with transaction(store) as conn:
        conn.execute(delete(counter).where(counter.c.name == _HALTED + stream))
        if halted:
            conn.execute(insert(counter), {"name": _HALTED + stream, "value": now()})


def halted(store: Store) -> list[str]:
    """Streams that have stopped, by name."""
    name = tables.counters.c.name
    with connection(store) as conn:
        found = conn.execute(select(name).where(name.startswith(_HALTED, autoescape=True)).order_by(name)).scalars()
        return [each.removeprefix(_HALTED) for each in found]


def _fault(kind: FaultKind, found: Row[Any], text: str) -> Fault:
    place = Fault(kind, found.topic, found.partition, found.first_offset, found.stream, "")
    return replace(place, text=f"{place.topic} partition {place.partition}, offset {place.offset}: {text}")


def _missing(found: Row[Any], expected: int, kept: int) -> Fault:
    last = found.first_offset - 1
    text = f"offsets {expected} to {last} are in no entry"
    if last >= kept:
        fault = _fault("gap", found, text)
    else:
        how = "the log has them no longer, they expired before they were read; `nuncius status --accept-expired` takes note"
        fault = _fault("expired", found, f"{text}, and {how}")
    return replace(fault, missing=(expected, last))


def _row(entry: Entry, at: int) -> dict[str, object]:
    return {
        "topic": entry.topic,
        "partition": entry.partition,
        "first_offset": entry.first_offset,
        "last_offset": entry.last_offset,
        "stream": entry.stream,
        "at": at,
    } | {name: getattr(entry.counts, name) for name in COUNTED}
