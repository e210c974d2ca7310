"""Reading the dead-letter topic, and putting what is in it back where it came from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from broker import topics
from broker.errors import NotFoundError, UsageError
from broker.ingest.raw import UNKNOWN
from broker.record import Message, Record, TopicPartition, header
from broker.wiring.parts import Parts
from broker.wiring.sniffing import sniffer

__all__ = ["Letter", "letter", "letters", "replay"]

OURS = {
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
    """Every dead letter the log still has, a partition after the other, oldest first."""
    if topics.DEAD_LETTER not in parts.log.topics():
        return
    ends = {place: end for place, (first, end) in parts.log.bounds(topics.DEAD_LETTER).items() if end > first}
    with closing(parts.log.consumer(None, [topics.DEAD_LETTER])) as consumer:
        while ends:
            # A read_committed end can lie behind markers that are no records: a silent second means there is no more.
            records = consumer.poll(500, 32 << 20, 1.0)
            if not records:
                return
            for record in records:
                if record.offset < ends.get(record.place, 0):
                    yield _letter(record)
                if record.offset + 1 >= ends.get(record.place, 0):
                    ends.pop(record.place, None)


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


def replay(parts: Parts, chosen: Sequence[Letter]) -> None:
    """Append dead letters to their raw topics again, with the headers they had; what was unknown is looked at anew."""
    sniff = sniffer(parts)

    def message(found: Letter) -> Message:
        kind = sniff(found.value) if found.stream == UNKNOWN else None
        kept = tuple(pair for pair in found.record.headers if pair[0] not in OURS)
        return Message(topics.raw(kind.stream if kind else found.stream), found.value, found.record.key, kept)

    # A record that was replayed and died again lies here twice: it goes back once.
    by_record = {_origin_of(found): found for found in chosen}
    parts.log.append([message(found) for found in by_record.values()])


def _origin_of(found: Letter) -> tuple[str | None, ...]:
    names = (topics.HEADER_DEAD_TOPIC, topics.HEADER_DEAD_PARTITION, topics.HEADER_DEAD_OFFSET)
    return tuple(header(found.record, name) for name in names)


def _letter(record: Record) -> Letter:
    return Letter(
        place=f"{record.partition}:{record.offset}",
        stream=topics.stream_of(header(record, topics.HEADER_DEAD_TOPIC) or f"raw.{UNKNOWN}"),
        stage=header(record, topics.HEADER_DEAD_STAGE) or "",
        reason=header(record, topics.HEADER_DEAD_REASON) or "",
        origin=header(record, topics.HEADER_ORIGIN) or "",
        received=header(record, topics.HEADER_RECEIVED) or "",
        value=record.value,
        record=record,
    )


def _headers(record: Record) -> dict[str, str]:
    return {name: value.decode("utf-8", "replace") for name, value in record.headers}
