"""Reading the dead-letter topic, and putting what is in it back where it came from."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from broker import topics
from broker.errors import LogUnavailableError, NotFoundError, UsageError
from broker.ingest.raw import UNKNOWN
from broker.record import Message, Record, TopicPartition, header
from broker.store import associations
from broker.store.engine import connection
from broker.telemetry import get_logger
from broker.wiring.deliver_book import Book, Rights
from broker.wiring.deliver_intake import Intake
from broker.wiring.parts import Parts
from broker.wiring.sniffing import sniffer
from broker.wiring.updates import RESCORED

__all__ = ["Letter", "letter", "letters", "replay"]

log = get_logger(__name__)

BATCH_RECORDS = 500
BATCH_BYTES = 32 << 20
PATIENCE = 120.0  # seconds without a record, though there are more
PLACE = (topics.HEADER_DEAD_TOPIC, topics.HEADER_DEAD_PARTITION, topics.HEADER_DEAD_OFFSET)
OURS = {
    topics.HEADER_DEAD_FIRST,
    topics.HEADER_DEAD_REASON,
    topics.HEADER_DEAD_STAGE,
    topics.HEADER_DEAD_TOPIC,
    topics.HEADER_DEAD_PARTITION,
    topics.HEADER_DEAD_OFFSET,
    topics.HEADER_DEAD_UNITS,
}


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter: where it lies, why, and what it was."""

    place: str
    stream: str
    stage: str
    reason: str
    origin: str
    received: str
    value: bytes
    record: Record

    def as_dict(self) -> dict[str, Any]:
        """Everything but the bytes, whose number is given."""
        shown = {name: getattr(self, name) for name in ("place", "stream", "stage", "reason", "origin", "received")}
        return shown | {"bytes": len(self.value), "headers": _headers(self.record)}


def letters(parts: Parts) -> Iterator[Letter]:
    """Every dead letter the log still has, a partition after the other, oldest first; what is none is passed over with a note.

    Raises
    ------
    LogUnavailableError
        The log gives nothing for long, though it has more.
    """
    if topics.DEAD_LETTER not in parts.log.topics():
        return
    ends = {place: end for place, (first, end) in parts.log.bounds(topics.DEAD_LETTER).items() if end > first}
    with closing(parts.log.consumer(None, [topics.DEAD_LETTER])) as consumer:
        deadline = time.monotonic() + PATIENCE
        while ends:
            records = consumer.poll(500, 32 << 20, 1.0)
            for record in records:
                if record.offset < ends.get(record.place, 0):
                    yield from _letter(record)
                if record.offset + 1 >= ends.get(record.place, 0):
                    ends.pop(record.place, None)
            if records:
                deadline = time.monotonic() + PATIENCE
                continue
            # An end can lie behind markers of transactions, which are no records: the reader knows how far it has come.
            behind = consumer.lag()
            ends = {place: end for place, end in ends.items() if behind.get(place, 1)}
            if ends and time.monotonic() > deadline:
                raise LogUnavailableError(
                    f"there are more dead letters, but for {PATIENCE:g} s the log has given none: try again when it answers"
                )


def letter(parts: Parts, place: str) -> Letter:
    """The dead letter at a place.

    Raises
    ------
    UsageError
        The place is not of the form PARTITION:OFFSET.
    NotFoundError
        There is none.
    """
    try:
        partition, offset = (int(part) for part in place.split(":"))
    except ValueError as error:
        raise UsageError(f"{place!r} is not a place: give PARTITION:OFFSET as `dead-letter list` shows it") from error
    wanted = TopicPartition(topics.DEAD_LETTER, partition)
    for found in letters(parts):
        if found.record.place == wanted and found.record.offset == offset:
            return found
    raise NotFoundError(f"no dead letter at {place}: `dead-letter list` shows those there are")


def replay(parts: Parts, chosen: Iterable[Letter]) -> int:
    """Append dead letters to their raw topics again, with the headers they had; what was unknown is looked at anew.

    A match that its subscribers could not be told of is taken in for them again, and goes to no topic: readers of ``matched.*``
    have had it; what was said on account of an event whose map holds the alert no more is passed over with a note. A record
    that was put back and died again lies there twice or oftener: it goes back once.

    Returns
    -------
    int
        How many went back.
    """
    sniff = sniffer(parts)
    done, over = set[str](), 0
    waiting: list[Message] = []
    size = 0
    for found in chosen:
        first = _first_death(found.record)
        if first in done:
            continue
        done.add(first)
        if found.stage == topics.DELIVER:
            over += not _tell(parts, found, first)
            continue
        kind = sniff(found.value) if found.stream == UNKNOWN else None
        kept = tuple(pair for pair in found.record.headers if pair[0] not in OURS)
        headers = (*kept, (topics.HEADER_DEAD_FIRST, first.encode()))
        waiting.append(Message(topics.raw(kind.stream if kind else found.stream), found.value, found.record.key, headers))
        size += len(found.value)
        if len(waiting) >= BATCH_RECORDS or size >= BATCH_BYTES:
            parts.log.append(waiting)
            waiting, size = [], 0
    parts.log.append(waiting)
    return len(done) - over


def _tell(parts: Parts, found: Letter, first: str) -> bool:
    """Take in for its subscribers what they could not be told of; what still cannot be is a dead letter again.

    Returns
    -------
    bool
        Whether it holds yet: its retraction may have come and gone.
    """
    record = found.record
    if header(record, topics.HEADER_UPDATE) == RESCORED:
        names = (topics.HEADER_ALERT_ID, topics.HEADER_EVENT)
        alert_id, event = ((header(record, name) or "").replace("\0", "") for name in names)  # as the tables have them
        with connection(parts.store) as conn:
            state = associations.state_of(conn, event, alert_id)
        if state in {associations.LEFT, associations.RETRACTED}:
            which = {"place": found.place, "alert_id": alert_id, "event_name": event}
            log.warning("not put back: the event is retracted, or its map holds the alert no more", **which)
            return False
    kept = tuple(pair for pair in record.headers if pair[0] not in OURS | {topics.HEADER_RECEIVED})
    headers = (*kept, (topics.HEADER_DEAD_FIRST, first.encode()))
    topic, partition, offset = (header(record, name) or "0" for name in PLACE)
    at = round(datetime.fromisoformat(found.received).timestamp() * 1000) if found.received else record.timestamp
    again = Record(topic, int(partition), int(offset), at, record.key, record.value, headers)
    Intake(parts, Book(parts), Rights(parts), lambda _first: None, "").take([again])
    return True


def _first_death(record: Record) -> str:
    """The record that died first, whose bytes these are."""
    return header(record, topics.HEADER_DEAD_FIRST) or "/".join(header(record, name) or "" for name in PLACE)


def _letter(record: Record) -> Iterator[Letter]:
    topic = header(record, topics.HEADER_DEAD_TOPIC) or topics.raw(UNKNOWN)
    stage = header(record, topics.HEADER_DEAD_STAGE) or ""
    if re.match(topics.RAW_PATTERN, topic) and stage != topics.DELIVER:
        stream = topics.stream_of(topic)
    elif topic.startswith(topics.matched("")) and stage == topics.DELIVER:
        stream = (header(record, topics.HEADER_ALERT_ID) or UNKNOWN).partition(":")[0]
    else:
        log.warning("no dead letter: it names no raw topic", place=f"{record.partition}:{record.offset}", topic=topic)
        return
    yield Letter(
        place=f"{record.partition}:{record.offset}",
        stream=stream,
        stage=stage,
        reason=header(record, topics.HEADER_DEAD_REASON) or "",
        origin=header(record, topics.HEADER_ORIGIN) or "",
        received=header(record, topics.HEADER_RECEIVED) or "",
        value=record.value,
        record=record,
    )


def _headers(record: Record) -> dict[str, str]:
    return {name: value.decode("utf-8", "replace") for name, value in record.headers}
