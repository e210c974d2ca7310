"""The demonstration: a simulated night played through every part of Nuncius, and whether all of it is accounted for."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import fastavro
import uvicorn

from broker import topics
from broker.api.app import create_app
from broker.decode.dispatch import NOTICE_STREAMS
from broker.deliver.schema import load_published
from broker.ingest.raw import Kind, Received, to_message
from broker.paths import shipped
from broker.record import Record, header
from broker.simulate.night import Night
from broker.simulate.survey import Packet
from broker.wiring import running, serving
from broker.wiring.parts import Parts

__all__ = ["Match", "Playing", "play", "read_matches", "whole_service"]

CONTENT_TYPES = {".json": "application/json", ".xml": "application/xml"}
TICK = 0.1  # seconds between appends


@dataclass(frozen=True, slots=True)
class Match:
    """A match as its subscribers get it: the filter, and the decoded record."""

    filter: str
    alert: dict[str, Any]


@dataclass(slots=True)
class Playing:
    """How far the night has been played, and what a part failed with, if one did."""

    sent: int = 0
    done: int = 0
    fault: BaseException | None = None


@contextmanager
def whole_service(parts: Parts, host: str, port: int, state: Playing) -> Iterator[str]:
    """Processing and the API, each in a thread, while the block runs; gives the API's address."""
    stop = threading.Event()

    def process() -> None:
        try:
            running.process(parts, stop, lambda records: _advance(state, records))
        except BaseException as error:  # noqa: BLE001  shown by who waits for the night to end
            state.fault = error

    with serving.listen(host, port) as listening:
        config = uvicorn.Config(
            create_app(serving.services(parts)),
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
            ws_max_size=serving.LONGEST_MESSAGE,
        )
        server = uvicorn.Server(config)
        threads = [
            threading.Thread(target=process),
            threading.Thread(target=server.run, kwargs={"sockets": [listening]}),
        ]
        for thread in threads:
            thread.start()
        address = listening.getsockname()
        try:
            yield f"http://{address[0]}:{address[1]}"
        finally:
            stop.set()
            server.should_exit = True
            for thread in threads:
                thread.join()


def _advance(state: Playing, records: int) -> None:
    state.done += records


def play(parts: Parts, night: Night, seconds: float, state: Playing, stop: threading.Event) -> None:
    """Append the night's packets to raw topics in their order, its length pressed into so many seconds."""
    bounds = running.bounds(parts)
    packets = list(night.packets())
    first = packets[0].time
    length = max((packets[-1].time - first).total_seconds(), 1.0)
    begun = time.monotonic()
    while state.sent < len(packets) and not stop.is_set():
        moment = (time.monotonic() - begun) / seconds * length
        due = state.sent
        while due < len(packets) and (packets[due].time - first).total_seconds() <= moment:
            due += 1
        if due > state.sent:
            parts.log.append([_message(packet, bounds) for packet in packets[state.sent : due]])
            state.sent = due
        stop.wait(TICK)


def _message(packet: Packet, bounds: Any) -> Any:
    content_type = CONTENT_TYPES.get(packet.suffix, "application/avro")
    kind = Kind(packet.stream, content_type, ordered=packet.stream in NOTICE_STREAMS)
    return to_message(Received(packet.data, f"simulated:{packet.name}"), kind, bounds)


def read_matches(parts: Parts, known: Sequence[str], on_match: Callable[[Match], None], stop: threading.Event) -> None:
    """Hand over every match as it appears on ``matched.*``, as any subscriber would read it."""
    schemas = {one.id: fastavro.parse_schema(one.schema) for one in load_published(shipped("schemas"))}
    with closing(parts.log.consumer(None, [topics.matched(name) for name in known])) as consumer:
        while not stop.is_set():
            for record in consumer.poll(500, 8 << 20, 0.2):
                on_match(_match(record, schemas))


def _match(record: Record, schemas: dict[int, Any]) -> Match:
    schema = schemas[int.from_bytes(record.value[1:5], "big")]
    alert = fastavro.schemaless_reader(io.BytesIO(record.value[5:]), schema, None)
    assert isinstance(alert, dict)
    return Match(header(record, topics.HEADER_FILTER) or "", alert)
