"""Receivers at the end of each channel, which note when they had which alert."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import confluent_kafka
from websockets.sync.client import connect

from broker import topics
from broker.vtp import Frames, Transport, pack, role_of, transport
from consumers import subscribe

__all__ = ["CHANNELS", "EVERYTHING", "SOME", "Channel", "Site", "matched_records", "running"]

EVERYTHING, SOME = "everything", "one_in_64"
_ALERT = re.compile(r"ztf(?::|%3A)(\w+)")
_ACK = pack(transport(Transport("ack", "ivo://nuncius/matches#0", "ivo://reader")))
_HELLO = pack(transport(Transport("authenticate", "ivo://nuncius", "ivo://reader")))
_ALIVE = pack(transport(Transport("iamalive", "ivo://nuncius", "ivo://reader")))

Times = dict[str, float]
"""By alert, seconds of the monotonic clock."""


@dataclass(frozen=True)
class Site:
    """An installation, and who serves it."""

    data: Path
    kafka: str
    vtp_port: int
    api_port: int

    @property
    def api(self) -> str:
        """Address of its API."""
        return f"http://127.0.0.1:{self.api_port}"

    def command(self, *arguments: str) -> list[str]:
        """A command line of it."""
        return [sys.executable, "-m", "broker", "--data", str(self.data), *arguments]

    def json(self, *arguments: str) -> Any:
        """What a verb prints."""
        return json.loads(subprocess.run(self.command(*arguments), check=True, capture_output=True).stdout)


@dataclass(frozen=True)
class Channel:
    """A way matches go out.

    Parameters
    ----------
    parts
        Verbs that have to run for it, beside `process`.
    filter
        Whose matches go over it.
    open
        Its receiver, as a context that gives the times it fills.
    """

    name: str
    parts: tuple[str, ...]
    open: Callable[[Site], Any]
    filter: str = EVERYTHING


@contextmanager
def running(site: Site, verb: str) -> Iterator[None]:
    """A verb, for as long as the block runs; that it is ready is told by what comes through it."""
    with (site.data / f"{verb}.out").open("ab") as out:
        more = ("--port", str(site.api_port)) if verb == "serve" else ()
        process = subprocess.Popen(site.command(verb, *more), stdout=out, stderr=out)
        try:
            if verb == "serve":
                _await(site.api_port, process)
            if verb == "vtp":
                _await(site.vtp_port, process)
            yield
        finally:
            process.terminate()
            process.wait(60)


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


@contextmanager
def _reading(loop: Callable[[Times, threading.Event], None]) -> Iterator[Times]:
    """A thread that reads until the block ends."""
    times: Times = {}
    stop = threading.Event()
    thread = threading.Thread(target=loop, args=(times, stop), daemon=True)
    thread.start()
    try:
        yield times
    finally:
        stop.set()
        thread.join(30)


@contextmanager
def matched_records(site: Site) -> Iterator[Mapping[str, Times]]:
    """The limit: when a bare consumer of committed records has the ``matched.*`` record, by filter."""
    found: dict[str, Times] = {EVERYTHING: {}, SOME: {}}

    def loop(_: Times, stop: threading.Event) -> None:
        consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": site.kafka,
                "group.id": uuid.uuid4().hex,
                "isolation.level": "read_committed",
                "topic.metadata.refresh.interval.ms": 500,
                "fetch.wait.max.ms": 50,
            }
        )
        consumer.subscribe([topics.matched(name) for name in found])
        while not stop.is_set():
            message = consumer.poll(0.2)
            if message is not None and message.error() is None:
                headers = dict(cast("list[tuple[str, bytes]]", message.headers()))
                times = found[headers[topics.HEADER_FILTER].decode()]
                times.setdefault(headers[topics.HEADER_ALERT_ID].decode(), time.monotonic())
        consumer.close()

    with _reading(loop):
        yield found


@contextmanager
def _serving(alert_of: Callable[[bytes], str]) -> Iterator[tuple[int, Times]]:
    """An HTTP server that answers 204 and notes when it has."""
    times: Times = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response_only(204)
            self.end_headers()
            times.setdefault(alert_of(body), time.monotonic())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield int(server.server_address[1]), times
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def _subscribed(site: Site, *arguments: str) -> Iterator[None]:
    made = site.json("subscribe", *arguments, "--json")
    try:
        yield
    finally:
        subprocess.run(site.command("subscriptions", "remove", made["id"]), check=True, capture_output=True)


@contextmanager
def _webhook(site: Site) -> Iterator[Times]:
    serving = _serving(lambda body: json.loads(body)["data"]["alert"]["alert_id"])
    with serving as (port, times), _subscribed(site, EVERYTHING, "--webhook", f"http://127.0.0.1:{port}/"):
        yield times


@contextmanager
def _message(site: Site) -> Iterator[Times]:
    def alert_of(body: bytes) -> str:
        told: Mapping[str, Any] = json.loads(body)
        found = _ALERT.search(f"{told.get('title')} {told.get('message')}")
        if found is None:
            raise ValueError(f"a message that names no alert: {told.get('message')}")
        return f"ztf:{found[1]}"

    with _serving(alert_of) as (port, times), _subscribed(site, SOME, "--message", f"json://127.0.0.1:{port}/"):
        yield times


def _client(address: str) -> Any:
    def loop(times: Times, stop: threading.Event) -> None:
        with subscribe(EVERYTHING, address) as stream:
            while not stop.is_set():
                if (alert := stream.poll(0.2)) is not None:
                    times.setdefault(alert.alert_id, time.monotonic())

    return _reading(loop)


@contextmanager
def _websocket(site: Site) -> Iterator[Times]:
    def loop(times: Times, stop: threading.Event) -> None:
        with connect(f"{site.api.replace('http', 'ws')}/api/v1/live/ws?filter={EVERYTHING}") as link:
            while not stop.is_set():
                try:
                    told = json.loads(link.recv(0.2))
                except TimeoutError:
                    continue
                if told["event"] == "match":
                    times.setdefault(told["data"]["alert"]["alert_id"], time.monotonic())

    with _reading(loop) as times:
        yield times


@contextmanager
def _vtp(site: Site) -> Iterator[Times]:
    ivorn = re.compile(rb'ivorn="ivo://[^"#]+/matches#' + EVERYTHING.encode() + rb'/\d+/([^";]+)"')

    def loop(times: Times, stop: threading.Event) -> None:
        frames = Frames(1 << 24)
        with socket.create_connection(("127.0.0.1", site.vtp_port)) as link:
            link.settimeout(0.2)
            while not stop.is_set():
                try:
                    data = link.recv(1 << 16)
                except TimeoutError:
                    continue
                if not data:
                    return
                for frame in frames.feed(data):
                    role = role_of(frame)
                    link.sendall(_HELLO if role == "authenticate" else _ALIVE if role == "iamalive" else _ACK)
                    if role is None and (found := ivorn.search(frame)):
                        times.setdefault(found[1].decode(), time.monotonic())

    with _reading(loop) as times:
        yield times


CHANNELS = (
    Channel("webhook", ("deliver",), _webhook),
    Channel("message, 1 in 64", ("deliver",), _message, SOME),
    Channel("SSE", ("serve",), lambda site: _client(site.api)),
    Channel("WebSocket", ("serve",), _websocket),
    Channel("Kafka subscriber", (), lambda site: _client(site.kafka)),
    Channel("VOEvent", ("vtp",), _vtp),
)
