"""Alerts from the Nuncius API, for brokers that run on the embedded log and have no Kafka to read."""

from __future__ import annotations

import json
import math
import queue
import re
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Self

import httpx

from consumers.alert import Alert, alert_from
from consumers.errors import BadRecordError, ClientError, RequestError, UnavailableError
from consumers.live_answers import check_stream, items, pause
from consumers.options import MATCHED, Options, Start
from consumers.sse import events, lines
from consumers.token import bearer

__all__ = ["LiveStream"]

_QUEUE = 1000
_GRACE = 1.0  # seconds after `until` in which a match of before may still be under way
_SILENCE = 60.0  # seconds without even a heartbeat after which the connection is given up
_PAGE = 500
_MATCH = "match:"


class LiveStream:
    """A `consumers.options.Stream` of the API's ``/live``; see `consumers.subscribe`.

    A thread of its own reads; where the connection breaks it comes back with the id of the last event it had. To begin in
    the past it opens ``/live`` first, then reads ``/matches`` up to that moment, and drops what both of them have. The
    position of an alert is the id of its event, or the number of its match where it was read from the past.
    """

    def __init__(self, options: Options) -> None:
        if options.group is not None or isinstance(options.start_at, Mapping):
            raise RequestError("groups and offsets are Kafka's: over the API leave them out and keep alert.position to go on")
        if wrong := [name for name in options.topics if not name.startswith((MATCHED, "^"))]:
            raise RequestError(f"the API streams what filters picked, not {', '.join(wrong)}: name filters, or read Kafka")
        self._options = options
        self._client = httpx.Client(
            base_url=options.bootstrap_servers.rstrip("/") + "/api/v1",
            headers=bearer(options.token),
            timeout=httpx.Timeout(min(10.0, options.timeout or 10.0), read=_SILENCE),
            follow_redirects=True,
        )
        self._queue: queue.Queue[Alert | ClientError | None] = queue.Queue(_QUEUE)
        self._stop = threading.Event()
        self._caught_up = threading.Event()
        self._tried = threading.Event()  # the first connection stands, or has failed
        self._socket: Any = None
        self._away = time.monotonic()  # since when there is none
        self._heard = False  # an event came since the connection was opened
        self._since = _number(options.start_at)  # of the past, how far it has been handed over
        named = isinstance(options.start_at, str) and options.start_at not in ("earliest", "latest")
        self._token = str(options.start_at) if named and self._since is None else None
        self._overlap: set[tuple[str, str]] = set()
        self._thread: threading.Thread | None = None
        self._finished = False

    def __enter__(self) -> Self:
        self._open()
        self._tried.wait(min(10.0, self._options.timeout or 10.0))
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Alert:
        while not self._finished:
            if (alert := self.poll()) is not None:
                return alert
        raise StopIteration

    @property
    def finished(self) -> bool:
        """Whether `until` is reached, or the stream is closed."""
        return self._finished

    def poll(self, timeout: float = 1.0) -> Alert | None:
        """The next alert, or ``None`` after `timeout` seconds without one.

        Raises
        ------
        BadRecordError
            A match cannot be read; the next call goes on with the one after it. Not with ``on_error="skip"``.
        UnavailableError
            The API stayed away for longer than the stream's `timeout`.
        RequestError
            The API does not know what was asked for.
        ClientError
            There is something else at the address than the API.
        """
        self._open()
        if self._finished:
            return None
        until = self._options.until
        try:
            found = self._queue.get(timeout=timeout)
        except queue.Empty:
            self._give_up()
            self._finished = until is not None and self._caught_up.is_set() and time.time() > until.timestamp() + _GRACE
            return None
        if isinstance(found, BadRecordError) and self._options.on_error == "skip":
            self._options.say(f"skipped {found}")
            return None
        if isinstance(found, ClientError):
            raise found
        if found is None or (until is not None and found.timestamp is not None and found.timestamp >= until):
            self._finished = True
            return None
        return found

    def commit(self, alert: Alert) -> None:
        """Not over the API: keep `Alert.position` instead.

        Raises
        ------
        RequestError
            Always.
        """
        raise RequestError(
            f"the API keeps no offsets: keep alert.position of {alert.alert_id} and begin there, start_at=position"
        )

    def seek(self, topic: str, partition: int, offset: int) -> None:
        """Not over the API.

        Raises
        ------
        RequestError
            Always.
        """
        raise RequestError(f"the API has no offsets, so no {topic}[{partition}]@{offset}: read Kafka, or open another stream")

    def offsets(self) -> dict[tuple[str, int], int]:
        """None over the API."""
        return {}

    def lag(self) -> dict[tuple[str, int], int]:
        """None over the API."""
        return {}

    def close(self) -> None:
        """Let go of the connection."""
        self._finished = True
        self._stop.set()
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        if self._thread is not None:
            self._thread.join(5.0)
        self._client.close()

    def _open(self) -> None:
        if self._thread is None and not self._finished:
            self._away = time.monotonic()
            self._thread = threading.Thread(target=self._run, name="nuncius-live", daemon=True)
            self._thread.start()

    def _give_up(self) -> None:
        """Where a server takes the connection and answers nothing, the thread waits longer than was asked for."""
        limit = self._options.timeout
        waiting = self._thread is not None and self._thread.is_alive() and self._socket is None
        if limit is not None and waiting and time.monotonic() - self._away > limit + _GRACE:
            self._stop.set()
            raise UnavailableError(f"nothing from {self._options.bootstrap_servers} for {limit:g} s: it does not answer")

    def _run(self) -> None:
        attempt = 0
        while not self._stop.is_set():
            try:
                self._read()
                reason = "the stream ended"
            except (httpx.HTTPError, UnavailableError) as error:
                reason = f"{type(error).__name__} {error}"
            except ClientError as error:
                self._tried.set()
                self._put(error)
                return
            self._tried.set()
            if self._heard:  # this is a new absence
                self._heard, attempt, self._away = False, 0, time.monotonic()
            self._socket = None
            limit = self._options.timeout
            if limit is not None and time.monotonic() - self._away >= limit:
                self._put(UnavailableError(f"nothing from {self._options.bootstrap_servers} for {limit:g} s: {reason}"))
                return
            if not self._stop.is_set():
                self._options.say(f"waiting for {self._options.bootstrap_servers}: {reason}")
            left = math.inf if limit is None else max(0.0, limit - (time.monotonic() - self._away))
            self._stop.wait(min(pause(attempt), left))
            attempt += 1

    def _read(self) -> None:
        asked = {} if len(self._options.topics) > 1 else self._filter(self._options.topics[0])
        headers = {"Accept": "text/event-stream"}
        if self._token is not None:
            headers["Last-Event-ID"] = self._token
        with self._client.stream("GET", "/live", params=asked, headers=headers) as answer:
            check_stream(answer, self._options.bootstrap_servers)
            self._socket = answer.extensions["network_stream"].get_extra_info("socket")
            for event in events(lines(answer.iter_text())):
                if self._stop.is_set():
                    return
                self._heard = True
                if event.name == "match":
                    self._offer(event.data, event.id)
                elif not self._caught_up.is_set():
                    self._tried.set()
                    self._catch_up(asked)
                self._token = event.id or self._token

    @staticmethod
    def _filter(topic: str) -> dict[str, str]:
        return {} if topic.startswith("^") else {"filter": topic.removeprefix(MATCHED)}

    def _catch_up(self, asked: Mapping[str, str]) -> None:
        """Matches from before the connection, where the caller wants them."""
        start = self._options.start_at
        while self._since is not None:
            answer = self._client.get("/matches", params={**asked, "since": self._since, "limit": _PAGE})
            page = items(answer, self._options.bootstrap_servers)
            if not page or self._stop.is_set():
                break
            for item in page:  # in the order of their numbers: where the connection breaks, it goes on from here
                self._overlap.add((item["filter"], item["alert"]["alert_id"]))
                if not isinstance(start, datetime) or datetime.fromisoformat(item["time"]) >= start:
                    self._put(self._alert(item, f"{_MATCH}{item['seq']}"))
                self._since = item["seq"]
        self._caught_up.set()

    def _offer(self, text: str, position: str) -> None:
        try:
            item = json.loads(text)
            key = (item["filter"], item["alert"]["alert_id"])
        except (ValueError, KeyError, TypeError) as error:
            self._put(BadRecordError(f"no match as the API describes it: {error}", data=text.encode()))
            return
        if key in self._overlap and item.get("update") is None:
            self._overlap.discard(key)
            return
        self._put(self._alert(item, position))

    def _alert(self, item: Mapping[str, Any], position: str | None) -> Alert | BadRecordError | None:
        topic = f"{MATCHED}{item['filter']}"
        stamp = item.get("time")
        try:
            return alert_from(
                {**item["alert"], "filters": [item["filter"]]},
                topic=topic,
                timestamp=datetime.fromisoformat(stamp).astimezone(UTC) if stamp else None,
                position=position,
                update=item.get("update"),
                update_event=item.get("update_event"),
            )
        except BadRecordError as error:
            error.data, error.topic = json.dumps(item).encode(), topic
            return error

    def _put(self, found: Alert | ClientError | None) -> None:
        if isinstance(found, Alert) and not any(_wanted(asked, found.topic) for asked in self._options.topics):
            return
        while not self._stop.is_set():
            with suppress(queue.Full):
                self._queue.put(found, timeout=0.5)
                return


def _number(start: Start) -> int | None:
    """Number of the match to read the past after; ``None`` where the past is not wanted."""
    if start == "earliest" or isinstance(start, datetime):
        return 0
    if not isinstance(start, str) or not start.startswith(_MATCH):
        return None
    number = start.removeprefix(_MATCH)
    if not number.isdecimal():
        raise RequestError(f"start_at is {start!r}: no position we gave")
    return int(number)


def _wanted(asked: str, topic: str) -> bool:
    return re.match(asked, topic) is not None if asked.startswith("^") else asked == topic
