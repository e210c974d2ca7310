"""Keeping the ledger short: what is checked and old goes into one entry for each run of offsets; what expired is noted.

The sums stay exact. A batch done again after its entry was folded would take the whole run with it, so nothing is folded that
is younger than anybody stalls.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, update

from broker.record import TopicPartition
from broker.store import tables
from broker.store.engine import Store, connection, transaction
from broker.store.ledger import COUNTED, check, counts_of
from broker.store.times import now

__all__ = ["accept_expired", "expired", "fold"]

STEP = 5_000  # entries in one transaction
_EXPIRED = "expired:"


def fold(store: Store, older_than: float) -> int:
    """Make one entry of those that follow each other, add up, and are of one stream.

    Parameters
    ----------
    older_than
        Seconds since an entry was written; younger ones stay.

    Returns
    -------
    int
        Entries fewer than before.
    """
    row = tables.ledger.c
    until = now() - int(older_than * 1e6)
    with connection(store) as conn:
        places = conn.execute(select(row.topic, row.partition).where(row.at < until).distinct()).all()
    return sum(_fold_place(store, TopicPartition(*place), until) for place in places)


def _fold_place(store: Store, place: TopicPartition, until: int) -> int:
    row = tables.ledger.c
    here = (row.topic == place.topic, row.partition == place.partition)
    gone, begin = 0, -1
    while True:
        query = select(tables.ledger).where(*here, row.at < until, row.first_offset >= begin).order_by(row.first_offset)
        with transaction(store) as conn:
            # Held until the end: another who folds at the same time waits, and then sees what is left.
            found = conn.execute(query.limit(STEP).with_for_update()).all()
            for run in _runs(found):
                first, last = run[0], run[-1]
                sums = {name: sum(getattr(each, name) for each in run) for name in COUNTED}
                rest = row.first_offset.between(first.first_offset + 1, last.first_offset)
                conn.execute(delete(tables.ledger).where(*here, rest))
                new = {"last_offset": last.last_offset, "at": max(each.at for each in run), **sums}
                conn.execute(update(tables.ledger).where(*here, row.first_offset == first.first_offset).values(new))
                gone += len(run) - 1
        if len(found) < STEP:
            return gone
        # From the last run on, which may go on: its first entry has that run's sums by now.
        begin = next((run[0].first_offset for run in _runs(found) if run[-1] is found[-1]), found[-1].first_offset)


def _runs(found: Sequence[Row[Any]]) -> Iterator[list[Row[Any]]]:
    """Entries of which each begins where the one before ended; none alone."""
    number, numbers = 0, [0] * len(found)
    for at, (one, two) in enumerate(pairwise(found), 1):
        follows = one.last_offset + 1 == two.first_offset and one.stream == two.stream
        number += not (follows and counts_of(one).balanced and counts_of(two).balanced)
        numbers[at] = number
    for _, run in groupby(zip(numbers, found, strict=True), key=lambda pair: pair[0]):
        entries = [each for _, each in run]
        if len(entries) > 1:
            yield entries


def accept_expired(store: Store, firsts: Mapping[TopicPartition, int]) -> int:
    """Take note of records that expired before they were read: they are counted as expired, and are no fault any more.

    Parameters
    ----------
    firsts
        First offset the log still has, by partition.

    Returns
    -------
    int
        How many records.
    """
    faults = [fault for fault in check(store, firsts) if fault.kind == "expired"]
    counter = tables.counters
    with transaction(store) as conn:
        for fault in faults:
            first, last = fault.missing
            entry = {"topic": fault.topic, "partition": fault.partition, "first_offset": first, "last_offset": last}
            nothing = dict.fromkeys(COUNTED, 0)
            conn.execute(insert(tables.ledger), entry | {"stream": fault.stream, "at": now()} | nothing)
            name = f"{_EXPIRED}{fault.topic}"
            before = conn.execute(select(counter.c.value).where(counter.c.name == name)).scalar() or 0
            conn.execute(delete(counter).where(counter.c.name == name))
            conn.execute(insert(counter), {"name": name, "value": before + last - first + 1})
    return sum(fault.missing[1] - fault.missing[0] + 1 for fault in faults)


def expired(store: Store) -> int:
    """Records noted as expired before they were read."""
    counter = tables.counters.c
    with connection(store) as conn:
        named = counter.name.startswith(_EXPIRED, autoescape=True)
        return int(conn.execute(select(func.coalesce(func.sum(counter.value), 0)).where(named)).scalar_one())
