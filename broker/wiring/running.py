"""Running the parts: taking in, and processing."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from types import FrameType

from broker import topics
from broker.decode.dispatch import NOTICE_STREAMS
from broker.decode.sniff import HEARTBEAT
from broker.errors import StreamHaltedError, TransientError, UsageError
from broker.ingest.files import Ingested, ingest_files
from broker.ingest.kafka import Upstream, follow
from broker.ingest.raw import Bounds, Kind, Received, to_message
from broker.record import Message, TopicPartition
from broker.settings import Source
from broker.store import ledger
from broker.store.archive import Archive, repair
from broker.store.ledger import Totals
from broker.stream import loop
from broker.telemetry import INGESTED
from broker.wiring import filter_folder, standing, vtp
from broker.wiring.gate import lenient_gate_of
from broker.wiring.heartbeats import Pulse, has_heartbeat, watching
from broker.wiring.housekeeping import compacting
from broker.wiring.instance import instance_name, place_of
from broker.wiring.parts import Parts, filter_folder_of
from broker.wiring.sniffing import AVRO, sniffer
from broker.wiring.work import Worker

__all__ = [
    "Spans",
    "bounds",
    "drain",
    "follow_sources",
    "ingest_paths",
    "process",
    "serve_vtp",
    "stop_on_signals",
    "totals",
    "totals_of",
]

OCTETS = "application/octet-stream"
LOOK_SECONDS = 1.0  # between looks at how far others have come

Spans = dict[TopicPartition, list[tuple[int, int]]]  # first and last offset of runs of records, ascending


def bounds(parts: Parts) -> Bounds:
    """How large a record may be: what the log takes, less room for its headers."""
    return Bounds(parts.settings.log.max_message_bytes - 16_384, parts.data / "oversize")


def ingest_paths(parts: Parts, paths: Sequence[Path], on_batch: Callable[[str, int], None]) -> tuple[Ingested, Spans]:
    """Append everything below the paths to raw topics, and tell where it lies; see `broker.ingest.files.ingest_files`."""
    spans: Spans = {}

    def append(batch: list[Message]) -> None:
        for place, offsets in parts.log.append(batch).items():
            runs = spans.setdefault(place, [])
            for offset in offsets:
                if runs and runs[-1][1] == offset - 1:
                    runs[-1] = (runs[-1][0], offset)
                else:
                    runs.append((offset, offset))

    return ingest_files(paths, append, sniffer(parts), bounds(parts), on_batch), spans


def follow_sources(parts: Parts, stop: threading.Event) -> None:
    """Follow every upstream of the settings, each in a thread of its own, until told to stop.

    Raises
    ------
    UsageError
        No upstream is set.
    """
    sources = parts.settings.ingest
    if not sources:
        raise UsageError(
            "nothing to ingest: name files or folders, or set an upstream in a table [ingest.<name>] of the settings"
        )
    faults: list[BaseException] = []
    pulses = {name: Pulse(name, has_heartbeat(source.topics)) for name, source in sources.items()}

    def run(name: str, source: Source) -> None:
        try:
            if source.kind == "vtp":
                vtp.follow_broker(parts, source, _take(parts, source), stop)
            else:
                follow(_upstream(name, source), _take(parts, source, pulses[name]), stop)
        except BaseException as error:  # noqa: BLE001  whatever ends one upstream ends the process, which then tells why
            faults.append(error)
            stop.set()

    threads = [threading.Thread(target=run, args=item, name=f"ingest-{item[0]}") for item in sources.items()]
    with watching(parts, pulses):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if faults:
        raise faults[0]


def serve_vtp(parts: Parts, stop: threading.Event, on_ready: Callable[[Mapping[str, int]], None] = lambda _ports: None) -> None:
    """VOEvents over TCP until told to stop; see `broker.wiring.vtp.run`."""
    vtp.run(parts, _take(parts), stop, on_ready)


def process(parts: Parts, stop: threading.Event, on_records: Callable[[int], None] = lambda _records: None) -> None:
    """Work raw alerts off until told to stop.

    Parameters
    ----------
    on_records
        Told of each batch, how many records.

    Raises
    ------
    StreamHaltedError
        A stream has halted, at the end.
    """
    for stream in ledger.halted(parts.store):
        ledger.mark_halted(parts.store, stream, halted=False)  # starting anew is how an operator says it is mended
    _run(parts, stop, drain=False, on_batch=lambda records, _offsets: on_records(records))


def drain(parts: Parts, on_records: Callable[[int], None]) -> None:
    """Work off what is there now, and wait for others of the group who share the work; what comes meanwhile is not waited for.

    Raises
    ------
    StreamHaltedError
        A stream has halted; what the others had is done.
    """
    ends = standing.raw_ends(parts)
    reached: dict[TopicPartition, int] = {}
    stop = threading.Event()
    next_look = time.monotonic() + LOOK_SECONDS

    def on_batch(records: int, offsets: Mapping[TopicPartition, int]) -> None:
        nonlocal next_look
        on_records(records)
        reached.update(offsets)
        left = {place: end for place, end in ends.items() if reached.get(place, 0) < end}
        if left and time.monotonic() > next_look:
            with suppress(TransientError):  # it is looked again
                left = dict.fromkeys(standing.waiting(parts, left), 0)
            next_look = time.monotonic() + LOOK_SECONDS
        if not left:
            stop.set()

    left = standing.waiting(parts, ends)
    while left:
        _run(parts, stop, drain=True, on_batch=on_batch)
        left = standing.waiting(parts, ends)
        held = {topics.stream_of(place.topic) for place in left}.intersection(ledger.halted(parts.store))
        if left and held.issuperset(topics.stream_of(place.topic) for place in left):
            raise _halted(held)  # by another, who keeps its partitions
        stop.clear()
        if left:
            stop.wait(0.1)
    _mended(parts, reached)


def _mended(parts: Parts, reached: Iterable[TopicPartition]) -> None:
    """Take the mark off halted streams that have been worked through to the end."""
    marked = ledger.halted(parts.store)
    behind = {topics.stream_of(place.topic) for place, records in standing.lag(parts).items() if records} if marked else ()
    for stream in {topics.stream_of(place.topic) for place in reached}.intersection(marked).difference(behind):
        ledger.mark_halted(parts.store, stream, halted=False)


def totals(parts: Parts) -> Totals:
    """The ledger's sums."""
    return ledger.totals(parts.store)


def totals_of(parts: Parts, spans: Spans) -> tuple[Totals, int]:
    """What became of these records, and how many others are counted along; see `broker.store.ledger.of_offsets`."""
    return ledger.of_offsets(parts.store, spans)


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """Event that is set by Ctrl-C or SIGTERM, so that the batch at hand is finished before leaving."""
    stop = threading.Event()

    def tell(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, tell) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run(
    parts: Parts, stop: threading.Event, *, drain: bool, on_batch: Callable[[int, Mapping[TopicPartition, int]], None]
) -> None:
    table = parts.settings.process
    durable = parts.settings.store.durable
    halted: set[str] = set()

    def tell(outcomes: Sequence[loop.Outcome], offsets: Mapping[TopicPartition, int]) -> None:
        on_batch(sum(len(outcome.batch.records) for outcome in outcomes), offsets)

    def on_halt(stream: str) -> None:
        halted.add(stream)
        ledger.mark_halted(parts.store, stream, halted=True)

    with ExitStack() as stack:
        folder = filter_folder_of(parts.settings, parts.data)
        stack.enter_context(filter_folder.watching(parts.store, folder, lenient_gate_of(parts), place_of(parts.data)))
        name = stack.enter_context(instance_name(parts.data))
        if not parts.settings.store.archive:
            repair(parts.archive_root)
        archive = stack.enter_context(closing(Archive(parts.archive_root, name, durable=durable)))
        consumer = stack.enter_context(closing(parts.log.consumer(table.group, [topics.RAW_PATTERN])))
        publisher = stack.enter_context(closing(parts.log.publisher(name)))
        if not drain:
            stack.enter_context(compacting(parts.frames, parts.store, durable=durable))
        loop.run(
            consumer,
            publisher,
            stack.enter_context(Worker.of(parts, archive)),
            limits=loop.Limits(table.max_records, table.max_bytes, table.linger),
            halt=loop.HaltRule(table.halt_minimum, table.halt_fraction),
            on_batch=tell,
            on_halt=on_halt,
            stop=stop,
            drain=drain,
        )
    if halted:
        raise _halted(halted)


def _halted(streams: Iterable[str]) -> StreamHaltedError:
    return StreamHaltedError(
        f"stream {', '.join(sorted(streams))} has halted, too much of it is rejected: see the reasons with "
        "`nuncius dead-letter list`, mend the cause, start again"
    )


def _upstream(name: str, source: Source) -> Upstream:
    assert source.kind != "vtp"
    return Upstream(
        source.kind,
        source.topics,
        source.group or f"nuncius-{name}",
        source.bootstrap_servers,
        source.start,
        source.client_id,
        source.client_secret.get_secret_value(),
        source.username,
        source.password.get_secret_value(),
        source.domain,
        source.properties,
    )


def _take(parts: Parts, source: Source | None = None, pulse: Pulse | None = None) -> Callable[[list[Received]], None]:
    stream = source.stream if source else ""
    sniff = sniffer(parts)
    limit = bounds(parts)

    def kind(value: bytes) -> Kind | None:
        if stream in parts.declarations:
            return Kind(stream, AVRO)  # the hot path: nothing is looked into
        found = sniff(value)
        return Kind(stream, found.content_type if found else OCTETS, stream in NOTICE_STREAMS) if stream else found

    def take(received: list[Received]) -> None:
        kinds = [kind(one.value) for one in received]
        messages = []
        for one, told in zip(received, kinds, strict=True):
            if pulse is not None and told is not None and told.content_type == HEARTBEAT:
                pulse.beat(one.value)  # no alert, and one a second: it goes no further
            else:
                messages.append(to_message(one, told, limit))
        if not messages:
            return
        parts.log.append(messages)
        for message in messages:
            INGESTED.labels(topics.stream_of(message.topic)).inc()

    return take
