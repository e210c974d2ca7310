"""Subscribers as there are: real HTTP servers that answer, fail, hang, redirect and never end; and matches for them."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import standardwebhooks

from broker import topics
from broker.alert import Batch
from broker.deliver.publish import encode_matches
from broker.filtering.definition import parse_filter
from broker.record import Headers, Record
from broker.settings import load
from broker.store import alerts, matches
from broker.store.archive import Address
from broker.store.engine import transaction
from broker.wiring.deliver import deliver
from broker.wiring.parts import Parts, open_parts
from tests.api.world import frame_of, survey_alert

SECRET = "whsec_" + "bm90IGEgc2VjcmV0IGF0IGFsbCwgYnV0IGxvbmc="  # of nobody
FILTER = 'name = "{}"\nversion = 1\nstream = "ztf"\ndescription = "x"\nwhere = "mag < 99"\n'
LOG = """[log]
durable = false
partitions = 1
"""
SETTINGS = f"""
filters = "filters"
[store]
durable = false
{LOG}[deliver]
allow = ["127.0.0.0/8"]
"""


@dataclass(frozen=True)
class Got:
    """A request whose signature is right."""

    id: str
    path: str
    said: Any
    status: int


@dataclass
class Receiver:
    """A server on this machine.

    Parameters
    ----------
    answer
        Status to answer a path with; other things happen on ``/hang``, ``/redirect`` and ``/huge``.
    """

    answer: Callable[[str], int] = lambda _path: 204
    got: list[Got] = field(default_factory=list)
    forged: list[str] = field(default_factory=list)
    port: int = 0
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def url(self, path: str = "/hook") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def ids(self, path: str | None = None) -> list[str]:
        """Ids of what was acknowledged, in order."""
        with self.lock:
            return [one.id for one in self.got if one.status < 300 and path in {None, one.path}]

    def tried(self, path: str) -> list[Got]:
        with self.lock:
            return [one for one in self.got if one.path == path]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    receiver: Receiver

    def do_POST(self) -> None:
        here = self.receiver
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        if len(body) < length:  # who was sending it is no more
            self.close_connection = True
            return
        status = 302 if self.path == "/redirect" else 200 if self.path in {"/huge", "/hang"} else here.answer(self.path)
        try:
            standardwebhooks.Webhook(SECRET).verify(body, dict(self.headers), json_parse=False)
        except standardwebhooks.WebhookVerificationError as error:
            here.forged.append(str(error))
            status = 401
        said = json.loads(body) if self.headers["Content-Type"] == "application/json" else body.decode()
        with here.lock:
            here.got.append(Got(self.headers["webhook-id"], self.path, said, status))
        if self.path == "/hang":
            here.stop.wait()
            return
        self.send_response(status)
        if self.path == "/redirect":
            self.send_header("Location", "/hook")
        if self.path == "/huge":
            self.send_header("Content-Length", str(1 << 40))
            self.end_headers()
            with suppress(OSError):
                while not here.stop.is_set():
                    self.wfile.write(bytes(1 << 16))
            self.close_connection = True
            return
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *_: object) -> None:
        """A sender that is killed breaks off."""


@contextmanager
def receiver(answer: Callable[[str], int] = lambda _path: 204) -> Iterator[Receiver]:
    """A server, until the block ends."""
    made = Receiver(answer)
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"receiver": made}))
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield made
    finally:
        made.stop.set()
        server.shutdown()
        thread.join()
        server.server_close()


def failing(seed: int, share: float) -> Callable[[str], int]:
    """An answer that is 500 or 503 now and then."""
    rng, lock = random.Random(seed), threading.Lock()

    def answer(_path: str) -> int:
        with lock:
            return rng.choice([500, 503]) if rng.random() < share else 204

    return answer


def dead_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def written(data: Path, *names: str) -> None:
    """Filters of these names in the folder of the settings."""
    folder = data / "filters"
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / f"{name}.toml").write_text(FILTER.format(name))


@contextmanager
def parts_with(data: Path, *names: str, more: str = "", store: str = "", log: str = LOG) -> Iterator[Parts]:
    """Parts over a data folder with these filters, and a database elsewhere if so; webhooks may go to this machine."""
    written(data, *names)
    settings = SETTINGS.replace(LOG, log)
    settings = settings.replace("[store]", f'[store]\nurl = "{store}"') if store else settings
    (data / "nuncius.toml").write_text(settings + more)
    with open_parts(load(data / "nuncius.toml"), data) as parts:
        yield parts


@contextmanager
def delivering(parts: Parts) -> Iterator[None]:
    """`nuncius deliver` in a thread; it must end when it is told to, and without a fault."""
    stop, ready, faults = threading.Event(), threading.Event(), list[BaseException]()

    def run() -> None:
        try:
            deliver(parts, stop, ready.set)
        except BaseException as error:  # noqa: BLE001
            faults.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert ready.wait(10)
        yield
    finally:
        stop.set()
        thread.join(30)
    assert not thread.is_alive()
    assert not faults


def rows_of(numbers: Sequence[int], **common: object) -> list[dict[str, Any]]:
    """Alerts by their numbers."""
    return [survey_alert(number) | common for number in numbers]


def publish(
    parts: Parts, name: str, rows: Sequence[dict[str, Any]], *, update: str = "", event: str = "S1", revision: int = 1
) -> list[str]:
    """Matches of a filter, as `process` tells of them: the database first, then the log. Their alerts' ids."""
    frame, ids = frame_of(list(rows)), [str(row["alert_id"]) for row in rows]
    at = time.time_ns() // 1_000_000
    raw = tuple(Record("raw.ztf", 0, number, at, None, b"") for number in range(len(rows)))
    if not update:
        with transaction(parts.store) as conn:
            alerts.write(conn, frame, raw)
            matches.write(conn, [matches.Match(name, "1", one) for one in ids])
    spec = parse_filter(FILTER.format(name))
    batch = Batch("ztf", raw, frame, len(rows), matches={name: np.arange(len(rows))})
    headers: Headers = ()
    if update:
        headers = (
            (topics.HEADER_UPDATE, update.encode()),
            (topics.HEADER_EVENT, event.encode()),
            (topics.HEADER_REVISION, str(revision).encode()),
        )
    parts.log.append(encode_matches(batch, [spec], [Address("a.avro", 0, 1)] * len(rows), headers))
    return ids
