"""The way of one alert through Nuncius: where it was received and kept, what it was held against, who picked or dropped it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import polars as pl

from broker import topics
from broker.decode.dispatch import NOTICE_STREAMS
from broker.errors import NotFoundError, TransientError, UsageError
from broker.filtering.definition import FilterSpec
from broker.record import Record, TopicPartition, header
from broker.store import alerts, deliveries, steps, subscriptions
from broker.store.claims import Claim
from broker.store.segments import Piece, listing, resolve
from broker.store.steps import Steps
from broker.store.times import from_micros
from broker.wiring import dead_letters
from broker.wiring.backtest_rows import Reader
from broker.wiring.dead_letters import Letter
from broker.wiring.explain import Verdict, of_row
from broker.wiring.parts import Parts

__all__ = ["Step", "Trace", "trace"]

PATIENCE: Final = 5.0  # seconds for the log to give a record
LEAST: Final = 1_000_000_000  # smaller numbers are found in packets by chance


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    Parameters
    ----------
    step
        ``received``, ``archived``, ``frames``, ``database``, ``crossmatch``, ``association``, ``matched``, ``dropped``,
        ``published``, ``rescored``, ``relayed``, ``revision``, ``delivery``, ``claimed`` or ``dead-lettered``.
    at
        When, UTC; ``None`` where nobody noted it.
    details
        The rest, by name.
    """

    step: str
    at: datetime | None
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Trace:
    """All steps of an alert; `kept` tells whether it became one."""

    alert_id: str
    kept: bool
    steps: tuple[Step, ...]

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        shown = [
            {"step": one.step, "at": None if one.at is None else one.at.isoformat(), **_plain(one.details)}
            for one in self.steps
        ]
        return {"alert_id": self.alert_id, "kept": self.kept, "steps": shown}


def trace(parts: Parts, alert_id: str) -> Trace:
    """The steps an alert took, in order; of one that was never kept, where it was last seen.

    Raises
    ------
    NotFoundError
        Nothing is known of it.
    """
    more = steps.of_alert(parts.store, alert_id)
    try:
        row = alerts.get(parts.store, alert_id)
    except NotFoundError:
        return Trace(alert_id, False, tuple(_lost(parts, alert_id, more)))
    return Trace(alert_id, True, tuple(_way(parts, row, more)))


def _way(parts: Parts, row: Mapping[str, Any], more: Steps) -> Iterator[Step]:
    origin, at = row["origin"], row["processed"]
    yield Step("received", row["received"], {**origin, **_upstream(parts, origin)})
    if more.owner is not None and more.owner.origin != (origin["topic"], origin["partition"], origin["offset"]):
        yield _claimed(more.owner)
    yield from _kept(parts, row)
    yield from _beside(row, more)
    yield from _asked(parts, row)
    yield Step("published", at, {"topic": topics.alerts(row["stream"])})
    for match in row["matches"]:
        yield Step("published", match["time"], {"topic": topics.matched(match["filter"]), "filter": match["filter"]})
    yield from _afterwards(more)
    yield from _delivered(parts, row["alert_id"])


def _beside(row: Mapping[str, Any], more: Steps) -> Iterator[Step]:
    """Catalogue sources and maps it was found in when it came."""
    said = row["annotations"]
    for name, sep in sorted(said.items()):
        if name.endswith(".sep") and name.count(".") == 1:
            catalog = name.removesuffix(".sep")
            yield Step("crossmatch", row["processed"], {"catalog": catalog, "id": said.get(f"{catalog}.id"), "sep": sep})
    for one in more.skymaps:
        yield Step("association", row["processed"], {name: one.get(name) for name in ("event", "revision", "credible_level")})


def _afterwards(more: Steps) -> Iterator[Step]:
    for one in more.associations:
        if one["cause"] is not None:
            yield Step("rescored", one["computed"], {name: value for name, value in one.items() if name != "computed"})
    for told in more.relayed:
        yield Step("relayed", None, told)
    for other in more.revisions:
        yield Step("revision", None, {"alert_id": other, "why": "another notice under the same id, with other bytes"})


def _delivered(parts: Parts, alert_id: str) -> Iterator[Step]:
    """What subscribers were told of it, or are to be told."""
    owners: dict[str, str | None] = {}
    for one in deliveries.of_alert(parts.store, alert_id):
        if one.subscription not in owners:
            owners[one.subscription] = subscriptions.get(parts.store, one.subscription).owner
        names = ("id", "subscription", "filter", "change", "state", "attempts", "status", "error", "tried", "acknowledged")
        said = {name: getattr(one, name) for name in names}
        yield Step("delivery", one.created, said | {"owner": owners[one.subscription]})


def _asked(parts: Parts, row: Mapping[str, Any]) -> Iterator[Step]:
    """Every filter that was asked: those that picked it, and where the others dropped it."""
    picked = {match["filter"] for match in row["matches"]}
    for match in row["matches"]:
        yield Step("matched", match["time"], {"filter": match["filter"], "version": match["version"]})
    there: list[Piece] | None = None
    for spec in parts.filters:
        if spec.name not in picked and spec.sees(row["stream"]):
            there = Reader(parts, spec).pieces_of(row) if there is None else there
            yield Step("dropped", row["processed"], _dropped(parts, spec, row, there))


def _dropped(parts: Parts, spec: FilterSpec, row: Mapping[str, Any], there: Sequence[Piece]) -> dict[str, Any]:
    said: dict[str, Any] = {"filter": spec.name, "version": str(spec.version)}
    try:
        try:
            found = Reader(parts, spec).one(row, there)
        except FileNotFoundError:  # merged away in the meantime
            found = Reader(parts, spec).one(row)
        verdicts = of_row(spec, found) if not found.is_empty() else ()
    except (UsageError, NotFoundError, pl.exceptions.PolarsError) as error:
        return said | {"clause": None, "why": str(error).strip().splitlines()[0]}
    false: Verdict | None = next((one for one in verdicts if not one.true), None)
    if false is None:  # it was not live then, or the frames have the alert no longer
        why = "every clause holds: it was not live when the alert came" if verdicts else "the frames no longer have the alert"
        return said | {"clause": None, "why": why}
    return said | {"clause": false.text, "value": dict(false.value), "why": "unknown" if false.true is None else "false"}


def _kept(parts: Parts, row: Mapping[str, Any]) -> Iterator[Step]:
    origin = row["origin"]
    if row["archive"] is not None:
        yield Step("archived", row["processed"], row["archive"])
    for piece in resolve(listing(parts.frames, [row["stream"]]))[0]:
        segment = piece.segment
        here = (segment.topic, segment.partition) == (origin["topic"], origin["partition"])
        hidden = any(first <= origin["offset"] <= last for first, last in piece.hidden)
        if here and segment.first <= origin["offset"] <= segment.last and not hidden:
            yield Step("frames", from_micros(segment.stamp // 1000), {"file": str(segment.path.relative_to(parts.frames))})
    yield Step("database", row["processed"], {"stream": row["stream"], "object_id": row["object_id"]})


def _lost(parts: Parts, alert_id: str, more: Steps) -> Iterator[Step]:
    """What is known of an id that no alert has."""
    dead = list(_dead(parts, alert_id, more.owner))
    if more.owner is not None:
        yield _claimed(more.owner)
    for letter in dead:
        yield Step(
            "dead-lettered",
            _instant(letter.received),
            {
                "place": letter.place,
                "stage": letter.stage,
                "why": letter.reason,
                "upstream": letter.origin or None,
                "remedy": f"nuncius dead-letter show {letter.place}",
            },
        )
    if more.owner is None and not dead:
        streams = [*parts.declarations, *sorted(NOTICE_STREAMS)]
        near = steps.similar(parts.store, alert_id, streams)
        hint = f"did you mean {near}?" if near else "ids look like ztf:1234; `nuncius status` shows what came of each stream"
        raise NotFoundError(f"no alert {alert_id!r}, neither kept, nor claimed, nor among the dead letters: {hint}")


def _claimed(owner: Claim) -> Step:
    topic, partition, offset = owner.origin
    why = "its id was met first at this place: what comes again from another is dropped as a duplicate"
    return Step("claimed", None, {"topic": topic, "partition": partition, "offset": offset, "why": why})


def _dead(parts: Parts, alert_id: str, owner: Claim | None) -> Iterator[Letter]:
    """Dead letters of the record that first had the id, or in whose bytes it stands."""
    stream, _, native = alert_id.partition(":")
    if not native:
        return
    marks = [native.partition(";")[0].encode()]
    if native.isdecimal() and LEAST <= int(native) < 1 << 63:
        marks.append(_zigzag(int(native)))  # as Avro has whole numbers
    elif len(native) < 6:
        return
    for letter in dead_letters.letters(parts):
        record = letter.record
        if letter.stage == topics.DELIVER:  # of an alert that was kept, and of a filter that may be somebody's own
            continue
        names = (topics.HEADER_DEAD_TOPIC, topics.HEADER_DEAD_PARTITION, topics.HEADER_DEAD_OFFSET)
        origin = tuple(header(record, name) for name in names)
        same = owner is not None and origin == tuple(map(str, owner.origin))
        if same or (letter.stream == stream and any(mark in letter.value for mark in marks)):
            yield letter


def _zigzag(number: int) -> bytes:
    left, found = number << 1, bytearray()
    while left > 0x7F:
        found.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*found, left])


def _upstream(parts: Parts, origin: Mapping[str, Any]) -> dict[str, Any]:
    """Where the bytes came from and when, as the raw record says, while the log has it."""
    place = TopicPartition(origin["topic"], origin["partition"])
    try:
        record = _record(parts, place, origin["offset"])
    except TransientError:
        record = None
    if record is None:
        return {"upstream": None}
    first = header(record, topics.HEADER_DEAD_FIRST)
    said = {"upstream": header(record, topics.HEADER_ORIGIN), "upstream_at": header(record, topics.HEADER_RECEIVED)}
    return said | ({"put_back": first} if first else {})


def _record(parts: Parts, place: TopicPartition, offset: int) -> Record | None:
    if place.topic not in parts.log.topics():
        return None
    first, end = parts.log.bounds(place.topic).get(place, (0, 0))
    if not first <= offset < end:
        return None
    deadline = time.monotonic() + PATIENCE
    with closing(parts.log.consumer(None, [place.topic])) as consumer:
        consumer.poll(1, 1 << 20, 1.0)  # so that the partitions are ours
        consumer.pause(other for other in consumer.assignment() if other != place)
        consumer.seek(place, offset)
        while time.monotonic() < deadline:
            for record in consumer.poll(1, 1 << 20, 1.0):
                if record.place == place and record.offset >= offset:
                    return record if record.offset == offset else None
    return None


def _instant(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value.isoformat() if isinstance(value, datetime) else value
