"""What subscribers over the VOEvent transport get: events and matches out of topics, and VOEvents that came in.

A VOEvent is relayed once, from where our raw topics had its bytes first. Brokers that subscribe to each other send back what
they got: without a memory it would go round between them for ever. The memory is that of alert ids, in the database, so that
it holds across restarts; `process` is not waited for, and need not run at all.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import fastavro
from lxml import etree

from broker import topics
from broker.deliver.schema import load_published
from broker.deliver.voevent import Sender, Told, event_voevent, match_voevent
from broker.deliver.vtp import Broadcaster
from broker.errors import DecodeError, TransientError
from broker.paths import shipped
from broker.record import Record, TopicPartition, header
from broker.safe_xml import root_name
from broker.store import claims
from broker.stream.log import Consumer, subscribes
from broker.telemetry import get_logger
from broker.vtp import ivorn_and_role
from broker.wiring.parts import Parts

__all__ = ["begin", "broadcast", "group_of", "outgoing", "sender"]

log = get_logger(__name__)

POLL_RECORDS, POLL_BYTES, POLL_SECONDS = 500, 8 << 20, 0.2
AWAY_SECONDS = 1.0
ASSIGNED_SECONDS = 10.0  # another of the group may hold them, and has passed over what there was

Packet = Callable[[Record], bytes | None]


def group_of(instance: str) -> str:
    """Consumer group of one instance: each has subscribers of its own, and all of them get everything."""
    return f"nuncius-vtp-{instance}"


async def broadcast(parts: Parts, broadcaster: Broadcaster, group: str, stop: threading.Event) -> None:
    """Hand out what comes until told to stop."""
    packet_of = _packets(parts)
    with closing(parts.log.consumer(group, _topics(parts))) as consumer:
        while not stop.is_set():
            try:
                records = await asyncio.to_thread(consumer.poll, POLL_RECORDS, POLL_BYTES, POLL_SECONDS)
            except TransientError as error:
                await _away(error)
                continue
            events = await _outgoing(parts, packet_of, records, stop)
            if events:
                await broadcaster.send(events)
            if records and not stop.is_set():
                try:
                    await asyncio.to_thread(_commit, consumer, records)
                except TransientError as error:
                    await _away(error)  # the next commit is of these, too


async def _away(error: TransientError) -> None:
    log.warning("waiting for our log or database", error=str(error))
    await asyncio.sleep(AWAY_SECONDS)


async def _outgoing(parts: Parts, packet_of: Packet, records: Sequence[Record], stop: threading.Event) -> list[bytes]:
    while records and not stop.is_set():
        try:
            return await asyncio.to_thread(outgoing, parts, packet_of, records)
        except TransientError as error:
            await _away(error)  # with the records in hand: they are not read again
    return []


def outgoing(parts: Parts, packet_of: Packet, records: Sequence[Record]) -> list[bytes]:
    """What to send for some records; of VOEvents that came in, those that have not come in before.

    Raises
    ------
    StoreUnavailableError
        The database is away.
    """
    made = [(record, event) for record in records if (event := packet_of(record)) is not None]
    came = [(record, event) for record, event in made if _is_raw(record)]
    origins = [(record.topic, record.partition, record.offset) for record, _ in came]
    ids = ["relayed:" + hashlib.blake2b(event, digest_size=16).hexdigest() for _, event in came]
    owners = claims.claim(parts.store, ids, origins, [None] * len(ids))
    again = {origin for origin, owner in zip(origins, owners, strict=True) if owner.origin != origin}
    return [event for record, event in made if (record.topic, record.partition, record.offset) not in again]


def _is_raw(record: Record) -> bool:
    return record.topic.startswith("raw.")


def begin(parts: Parts, group: str) -> None:
    """Pass over what topics hold that this group has never read; those that appear later are read whole."""
    patterns = _topics(parts)
    there = [name for name in parts.log.topics() if subscribes(patterns, name)]
    ends = {place: end for name in there for place, (_, end) in parts.log.bounds(name).items()}
    with closing(parts.log.consumer(group, there, "latest")) as consumer:
        deadline = time.monotonic() + ASSIGNED_SECONDS
        while there and not ends.keys() <= consumer.assignment() and time.monotonic() < deadline:
            consumer.poll(1, 1, POLL_SECONDS)
        held = consumer.assignment() & ends.keys()
        known = consumer.committed(held)
        consumer.commit({place: ends[place] for place in held if place not in known})


def _commit(consumer: Consumer, records: Sequence[Record]) -> None:
    """Keep how far we are: a restart goes on there, and repeats at most what was sent last."""
    ends: dict[TopicPartition, int] = {record.place: record.offset + 1 for record in records}
    held = consumer.assignment()
    consumer.commit({place: offset for place, offset in ends.items() if place in held})


def _topics(parts: Parts) -> list[str]:
    table = parts.settings.vtp
    named = [topics.EVENTS] if table.events else []
    named += [topics.TEST_EVENTS] if table.test_events else []
    named += [topics.matched(name) for name in table.filters]
    return named + ([topics.RAW_PATTERN] if table.relay else [])


def sender(parts: Parts) -> Sender:
    """Who our VOEvents are from."""
    table = parts.settings.vtp
    return Sender(table.authority, table.title, table.api)


def _packets(parts: Parts) -> Packet:
    """What to send for a record; ``None`` for nothing."""
    schemas = {one.id: fastavro.parse_schema(one.schema) for one in load_published(shipped("schemas"))}
    table, who = parts.settings.vtp, sender(parts)

    def decoded(record: Record) -> dict[str, Any]:
        schema = schemas[int.from_bytes(record.value[1:5], "big")]
        read = fastavro.schemaless_reader(io.BytesIO(record.value[5:]), schema, None)
        assert isinstance(read, dict)
        return read

    def packet_of(record: Record) -> bytes | None:
        try:
            if _is_raw(record):
                return record.value if _relayed(record.value, test=table.test_events) else None
            if record.topic in {topics.EVENTS, topics.TEST_EVENTS}:
                return event_voevent(decoded(record), who)
            name, version = header(record, topics.HEADER_FILTER) or "", header(record, topics.HEADER_FILTER_VERSION) or ""
            return match_voevent(decoded(record), name, version, _told(record), who)
        except (KeyError, ValueError, etree.LxmlError):
            log.exception("no VOEvent could be made", topic=record.topic, offset=record.offset)
            return None

    return packet_of


def _told(record: Record) -> Told:
    revision = header(record, topics.HEADER_REVISION) or ""
    return Told(
        datetime.fromtimestamp(record.timestamp / 1000, UTC),
        header(record, topics.HEADER_UPDATE),
        header(record, topics.HEADER_EVENT),
        int(revision) if revision.isdigit() else None,
    )


def _relayed(data: bytes, *, test: bool) -> bool:
    """Whether these bytes are a VOEvent that anybody can read, and no test unless tests are sent."""
    if root_name(data[:4096]) != "VOEvent":
        return False  # most of what comes in, told without parsing it
    try:
        _, role = ivorn_and_role(data)
    except DecodeError:
        return False  # `process` puts it aside, and says why
    return test or role != "test"
