"""VOEvents over TCP, both ways: authors into raw topics; events, matches and relayed VOEvents out of topics."""

from __future__ import annotations

import asyncio
import io
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, closing, suppress
from ipaddress import ip_network
from typing import Any

import fastavro
from lxml import etree

from broker import topics
from broker.deliver.schema import load_published
from broker.deliver.voevent import Sender, event_voevent, match_voevent
from broker.deliver.vtp import Broadcaster, Rules
from broker.errors import SettingsError, TransientError, UsageError
from broker.ingest.raw import Received
from broker.ingest.vtp_authors import Authors, author_server
from broker.ingest.vtp_client import Remote, follow
from broker.ingest.vtp_intake import Limits, intake
from broker.paths import shipped
from broker.record import Record, TopicPartition, header
from broker.safe_xml import root_name
from broker.settings import Source
from broker.stream.log import Consumer, subscribes
from broker.telemetry import get_logger
from broker.vtp import Network
from broker.wiring.parts import Parts

__all__ = ["enabled", "follow_broker", "run"]

log = get_logger(__name__)

GROUP = "nuncius-vtp"
POLL_RECORDS, POLL_BYTES, POLL_SECONDS = 500, 8 << 20, 0.2
AWAY_SECONDS = 1.0
ASSIGNED_SECONDS = 10.0  # another of the group may hold them, and has passed over what there was


def enabled(parts: Parts) -> bool:
    """Whether the settings ask for a port."""
    return parts.settings.vtp.author_port is not None or parts.settings.vtp.subscriber_port is not None


def follow_broker(parts: Parts, source: Source, take: Callable[[list[Received]], None], stop: threading.Event) -> None:
    """Take VOEvents from another broker until told to stop; `broker.ingest.vtp_client.follow`."""
    filters = (source.xpath,) if source.xpath else ()
    follow(Remote(source.host, source.port, _identity(parts), filters), take, stop, _limits(parts))


def run(
    parts: Parts,
    take: Callable[[list[Received]], None],
    stop: threading.Event,
    on_ready: Callable[[Mapping[str, int]], None] = lambda _ports: None,
) -> None:
    """Serve authors and subscribers, as far as the settings give them a port, until told to stop.

    Parameters
    ----------
    take
        Puts received events into our log.
    on_ready
        Told the ports that are listened on, by ``author`` and ``subscriber``.

    Raises
    ------
    UsageError
        No port is set, or one cannot be had.
    """
    if not enabled(parts):
        raise UsageError("nothing to serve: set author_port or subscriber_port in table [vtp] of the settings")
    asyncio.run(_run(parts, take, stop, on_ready))


async def _run(
    parts: Parts,
    take: Callable[[list[Received]], None],
    stop: threading.Event,
    on_ready: Callable[[Mapping[str, int]], None],
) -> None:
    table = parts.settings.vtp
    ports: dict[str, int] = {}
    tasks: list[asyncio.Task[None]] = []
    async with AsyncExitStack() as stack:
        if table.author_port is not None:
            into = await stack.enter_async_context(intake(take))
            authors = Authors(_identity(parts), _networks("allow", table.allow), _limits(parts))
            ports["author"] = await _listening(stack, author_server(table.host, table.author_port, authors, into))
        if table.subscriber_port is not None:
            broadcaster = Broadcaster(_rules(parts))
            stack.push_async_callback(broadcaster.close)
            ports["subscriber"] = await _listening(stack, broadcaster.serve(table.host, table.subscriber_port))
            await asyncio.to_thread(_begin, parts)
            tasks += [asyncio.create_task(broadcaster.ask()), asyncio.create_task(_broadcast(parts, broadcaster, stop))]
            tasks += [broadcaster.filtering] if broadcaster.filtering else []
        log.info("VOEvent transport listens", host=table.host, **ports)
        on_ready(ports)
        while not stop.is_set() and not any(task.done() for task in tasks):  # noqa: ASYNC110  the event is a thread's
            await asyncio.sleep(0.1)
        for task in tasks:
            if not task.done():
                task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _listening(stack: AsyncExitStack, starting: Any) -> int:
    try:
        server: asyncio.Server = await starting
    except OSError as error:
        raise UsageError(f"the VOEvent transport cannot listen ({error}): choose other ports in table [vtp]") from error
    stack.callback(server.close)
    return int(server.sockets[0].getsockname()[1])


async def _broadcast(parts: Parts, broadcaster: Broadcaster, stop: threading.Event) -> None:
    packet_of = _packets(parts)
    with closing(parts.log.consumer(GROUP, _topics(parts))) as consumer:
        while not stop.is_set():
            try:
                records = await asyncio.to_thread(consumer.poll, POLL_RECORDS, POLL_BYTES, POLL_SECONDS)
                events = [event for record in records if (event := packet_of(record)) is not None]
                if events:
                    await broadcaster.send(events)
                if records:
                    await asyncio.to_thread(_commit, consumer, records)
            except TransientError as error:
                log.warning("waiting for our log", error=str(error))
                await asyncio.sleep(AWAY_SECONDS)


def _begin(parts: Parts) -> None:
    """Pass over what topics hold that this group has never read; those that appear later are read whole."""
    patterns = _topics(parts)
    there = [name for name in parts.log.topics() if subscribes(patterns, name)]
    ends = {place: end for name in there for place, (_, end) in parts.log.bounds(name).items()}
    with closing(parts.log.consumer(GROUP, there, "latest")) as consumer:
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
    known = {spec.name for spec in parts.filters}
    unknown = sorted(set(table.filters) - known)
    if unknown:
        raise SettingsError(f"vtp.filters names {unknown[0]!r}, which is no filter: there are {', '.join(sorted(known))}")
    named = [topics.EVENTS] if table.events else []
    named += [topics.TEST_EVENTS] if table.test_events else []
    named += [topics.matched(name) for name in table.filters]
    return named + ([topics.RAW_PATTERN] if table.relay else [])


def _packets(parts: Parts) -> Callable[[Record], bytes | None]:
    """What to send for a record; ``None`` for nothing."""
    schemas = {one.id: fastavro.parse_schema(one.schema) for one in load_published(shipped("schemas"))}
    table = parts.settings.vtp
    sender = Sender(table.authority, table.title, table.api)

    def decoded(record: Record) -> dict[str, Any]:
        schema = schemas[int.from_bytes(record.value[1:5], "big")]
        read = fastavro.schemaless_reader(io.BytesIO(record.value[5:]), schema, None)
        assert isinstance(read, dict)
        return read

    def packet_of(record: Record) -> bytes | None:
        try:
            if record.topic.startswith("raw."):
                return record.value if root_name(record.value[:4096]) == "VOEvent" else None
            if record.topic in {topics.EVENTS, topics.TEST_EVENTS}:
                return event_voevent(decoded(record), sender)
            name, version = header(record, topics.HEADER_FILTER) or "", header(record, topics.HEADER_FILTER_VERSION) or ""
            return match_voevent(decoded(record), name, version, header(record, topics.HEADER_UPDATE), sender)
        except (KeyError, ValueError, etree.LxmlError):
            log.exception("no VOEvent could be made", topic=record.topic, offset=record.offset)
            return None

    return packet_of


def _rules(parts: Parts) -> Rules:
    table = parts.settings.vtp
    allow = _networks("allow_subscribers", table.allow_subscribers)
    return Rules(_identity(parts), allow, table.connections, table.alive_seconds, table.unacknowledged, table.patience)


def _limits(parts: Parts) -> Limits:
    table = parts.settings.vtp
    return Limits(table.max_bytes, table.connections, table.per_address, table.patience)


def _identity(parts: Parts) -> str:
    return f"ivo://{parts.settings.vtp.authority}"


def _networks(name: str, texts: Sequence[str]) -> tuple[Network, ...]:
    return tuple(_network(name, text) for text in texts)


def _network(name: str, text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise SettingsError(f"vtp.{name}: {text!r} is no network ({error}): write 192.0.2.0/24 or an address") from error
