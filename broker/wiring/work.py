"""What is done with a batch between the poll and the commit: the steps, then archive, frames and database, then what goes out.

To add a step, put its factory into `steps`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from broker.alert import COMMON, PRIVATE, Batch, Step
from broker.decode.dispatch import decode
from broker.deliver.publish import encode
from broker.deliver.selected import selected
from broker.errors import TransientError
from broker.process.associate import associate
from broker.process.crossmatch import crossmatch
from broker.process.dedupe import dedupe
from broker.process.features import features
from broker.process.host_distance import Distances
from broker.process.localise import localise
from broker.process.select import matched, select, wanted
from broker.process.watch import watch
from broker.record import Message, Record
from broker.science.circle import Circle
from broker.science.skymap import SkyMap
from broker.store import alerts, associations, claims, columns, ledger, matches, revisions
from broker.store.archive import Address, Archive, Placed
from broker.store.engine import transaction
from broker.store.revisions import EventChange
from broker.stream.loop import Outcome
from broker.telemetry import ALERTS, DEAD_LETTERS, STEP_SECONDS
from broker.topics import COINCIDENCE_STREAM
from broker.wiring.coincide import coincide
from broker.wiring.entries import entries
from broker.wiring.events import events_messages
from broker.wiring.live_maps import LiveMapsNow, distances_of, keep_map
from broker.wiring.names import by_steps
from broker.wiring.parts import Parts
from broker.wiring.rescore import rescore
from broker.wiring.watch import ListsNow

__all__ = ["EVENT_HOOKS", "EventHook", "Worker", "steps"]

EventHook = Callable[[Parts, Sequence[EventChange]], list[Message]]

EVENT_HOOKS: tuple[EventHook, ...] = (events_messages, rescore, coincide)
"""Called in order once a batch that changed events is in the database; what they return goes out with the batch.

A batch done again calls them again: they must give the same messages.
"""


def steps(parts: Parts, keep: dict[str, str], live: LiveMapsNow) -> dict[str, list[tuple[str, Step]]]:
    """The steps in order, by name, of survey alerts (``survey``) and of notices (``notice``).

    Parameters
    ----------
    keep
        Filled with the path of each sky map that came with a notice, by alert id.
    live
        The maps that survey alerts are held against.
    """

    def save(alert_id: str, event_name: str, skymap: SkyMap | Circle) -> None:
        keep[alert_id] = keep_map(parts, event_name, alert_id, skymap)

    asked = {name for spec in parts.filters for name in spec.columns}
    repeated = ("dedupe", dedupe(lambda ids, origins, digests: claims.claim(parts.store, ids, origins, digests)))
    near = ("crossmatch", crossmatch(parts.catalogs))
    inside = ("associate", associate(live, threshold=parts.settings.associate.level, distances=distances_of(parts)))
    listed = ("watch", watch(asked, ListsNow(parts)))
    picked = ("select", select(parts.filters))
    return {
        "survey": [repeated, near, inside, ("features", features(asked)), listed, picked],
        # Notices are not held against each other's maps: that is a coincidence of events, and has its own statistics.
        "notice": [repeated, near, ("localise", localise(save)), listed, picked],
    }


@dataclass(frozen=True)
class _Force:
    """What is in force for a batch.

    Parameters
    ----------
    generation
        How often filters, or lists they look into, had changed.
    parts
        With the filters that were live then.
    """

    generation: int
    parts: Parts
    steps: Mapping[str, Sequence[tuple[str, Step]]]
    wanted: dict[str, frozenset[str]] = field(default_factory=dict)

    @cached_property
    def versions(self) -> dict[str, str]:
        """Version in force by filter."""
        return {spec.name: str(spec.version) for spec in self.parts.filters}


@dataclass(slots=True)
class Worker:
    """Does one stream's part of a poll; `broker.stream.loop.Work`.

    Filters that change are taken up between two batches: all of a batch, and all it changes of earlier alerts, goes by one set.
    """

    archive: Archive
    pool: ThreadPoolExecutor
    maps: dict[str, str]
    live: LiveMapsNow
    distances: Distances
    force: _Force

    @classmethod
    @contextmanager
    def of(cls, parts: Parts, archive: Archive) -> Iterator[Worker]:
        """Worker with the parts' own steps."""
        maps: dict[str, str] = {}
        with ThreadPoolExecutor(3, "keep") as pool:
            live = LiveMapsNow(parts)
            force = _Force(-1, parts, steps(parts, maps, live))
            yield cls(archive, pool, maps, live, distances_of(parts), force)

    @property
    def parts(self) -> Parts:
        """The parts, with the filters in force."""
        return self.force.parts

    def __call__(self, stream: str, records: list[Record]) -> Outcome:
        """Take a stream's records through the steps and keep what they say; what goes out is in the outcome.

        Raises
        ------
        TransientError
            A part is away; the batch is to be done again.
        """
        self.maps.clear()
        self._take_up()
        with _timed("decode"):
            decoded = decode(stream, records, self._wanted(stream), self.parts.declarations, self.parts.schemas)
        batch = decoded
        for name, step in self.force.steps["survey" if stream in self.parts.declarations else "notice"]:
            with _timed(name):
                batch = step(batch)
        placed, addresses = self._place(batch)
        changes: list[EventChange] = []
        with self._keeping(decoded, batch, placed, addresses, changes), _timed("encode"):
            messages = encode(batch, matched(self.parts.filters, batch), addresses)
        survey = stream in self.parts.declarations
        if survey and batch.frame["time"].null_count() < batch.frame.height and self.live.changed():
            # Whoever changed the event may have looked for alerts before these were kept.
            raise TransientError(
                f"an event changed while alerts of {stream} were held against the old one: they are done again"
            )
        if changes:
            with _timed("events"):
                messages += [message for tell in EVENT_HOOKS for message in tell(self.parts, changes)]
        _count(batch)
        return Outcome(batch, messages)

    @contextmanager
    def _keeping(
        self, decoded: Batch, batch: Batch, placed: Placed, addresses: Sequence[Address], changes: list[EventChange]
    ) -> Iterator[None]:
        """Keep everything while the block runs; at its end all of it is kept, or the first fault is raised.

        What the batch changed of events is added to `changes`.
        """
        durable = self.parts.settings.store.durable
        keeping: list[Future[Any]] = [
            self.pool.submit(_timed("archive")(self.archive.write), placed),
            self.pool.submit(
                _timed("frames")(columns.write_segment),
                self.parts.frames,
                batch,
                addresses,
                durable=durable,
                looked_for=self._looked_for(batch.stream),
            ),
            self.pool.submit(_timed("database")(self._database), decoded, batch, addresses, changes),
        ]
        try:
            yield
        finally:
            wait(keeping)  # all of them: a batch done again must not meet its own past
        for kept in keeping:
            kept.result()

    def _take_up(self) -> None:
        """Go by the filters that are live now."""
        generation, filters = self.parts.book.at()
        if generation != self.force.generation:
            parts = replace(self.parts, filters=filters)
            self.force = _Force(generation, parts, steps(parts, self.maps, self.live))

    def _wanted(self, stream: str) -> frozenset[str]:
        known = self.force.wanted
        if stream not in known:
            declared = self.parts.declarations.get(stream)
            kept = (*declared.keep, *declared.redshift) if declared else ()
            known[stream] = wanted(self.parts.filters, stream) | frozenset(kept)
        return known[stream]

    def _looked_for(self, stream: str) -> frozenset[str]:
        """Packet fields that are decoded; what steps were asked for and could not make is not among them."""
        return frozenset(name for name in self._wanted(stream) if not by_steps(name))

    def _place(self, batch: Batch) -> tuple[Placed, list[Address]]:
        """Addresses, one a record; records none of whose alerts are published are not kept twice and have none."""
        kept = np.unique(batch.frame["_record"].to_numpy())
        placed = self.archive.place([batch.records[number] for number in kept])
        addresses = [NOWHERE] * len(batch.records)
        for number, address in zip(kept, placed.addresses, strict=True):
            addresses[number] = address
        return placed, addresses

    def _database(self, decoded: Batch, batch: Batch, addresses: Sequence[Address], changes: list[EventChange]) -> None:
        ids = batch.frame["alert_id"]
        versions = self.force.versions
        along = selected(batch.frame, matched(self.parts.filters, batch), batch.matches)
        found = [
            matches.Match(name, versions[name], ids[int(row)], sent)
            for name, rows in batch.matches.items()
            for row, sent in zip(rows, along.get(name, ()), strict=True)
        ]
        with transaction(self.parts.store) as conn:
            alerts.write(conn, self._told(decoded, batch), batch.records, addresses)
            if batch.stream in self.parts.declarations:
                associations.write(conn, batch.frame, self.distances, self.live.version)
            # A coincidence names its event and is no notice of it.
            if batch.stream != COINCIDENCE_STREAM and "_event" in batch.frame.columns:
                changes += revisions.upsert_notices(conn, batch.frame, batch.records, self.maps)
            ledger.record(conn, entries(decoded, batch))
            matches.forget(conn, ids.to_list(), versions)
            matches.write(conn, found)

    def _told(self, decoded: Batch, batch: Batch) -> pl.DataFrame:
        """What the database keeps of a batch: of a survey's packet fields nothing, they are in the frames and the packet."""
        if batch.stream not in self.parts.declarations:
            return batch.frame
        packet = decoded.frame.columns
        return batch.frame.drop(name for name in packet if name not in COMMON and name not in PRIVATE and name != "_digest")


NOWHERE = Address("", 0, 0)


def _count(batch: Batch) -> None:
    counts = {"published": batch.frame.height, "duplicate": batch.duplicates, "rejected": len(batch.rejected)}
    for outcome, number in counts.items():
        ALERTS.labels(batch.stream, outcome).inc(number)
    for rejection in batch.rejected:
        DEAD_LETTERS.labels(batch.stream, rejection.stage).inc()


@contextmanager
def _timed(step: str) -> Iterator[None]:
    began = time.perf_counter()
    try:
        yield
    finally:
        STEP_SECONDS.labels(step).inc(time.perf_counter() - began)
