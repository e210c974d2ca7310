"""``live``: matches by Server-Sent Events as they are published, resumed where a reader broke off.

Each reader has a thread of its own that tails the ``matched.*`` topics. The id of an event holds the position of every
partition after it, so whoever comes back with it as ``Last-Event-ID`` misses nothing and sees nothing twice, whichever server
it comes back to.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from broker.api import cursor
from broker.api.auth import recheck
from broker.api.framed import match_reader
from broker.api.hidden import Hidden, hidden_from
from broker.api.models import Match
from broker.api.principal import UnauthenticatedError
from broker.api.problems import RESPONSES, TooBusyError
from broker.api.services import Services
from broker.errors import NotFoundError, NunciusError, TransientError, UsageError
from broker.record import Record, TopicPartition
from broker.stream.log import Consumer, Log
from broker.telemetry import get_logger
from broker.topics import matched

__all__ = ["router"]

_log = get_logger(__name__)
POLL_SECONDS = 0.5
QUEUE = 8
LOOK_SECONDS = 1.0  # between two looks at what a reader may see
Positions = dict[TopicPartition, int]


def _start(log: Log, topics: list[str], resume: Mapping[TopicPartition, int] | None) -> Positions:
    """Where to read each partition there is: from its end, or where the reader broke off.

    A partition the reader knows nothing of has come since, and is read from its beginning.
    """
    positions: Positions = {}
    for topic in topics:
        for place, (low, high) in log.bounds(topic).items():
            wanted = high if resume is None else resume.get(place, low)
            positions[place] = min(max(wanted, low), high)
    return positions


def _open(log: Log, topic: str | None, resume: Mapping[TopicPartition, int] | None) -> tuple[Consumer, Positions]:
    prefix = matched("")
    there = [name for name in log.topics() if (name == topic if topic else name.startswith(prefix))]
    positions = _start(log, there, resume)
    # From the earliest: a topic that appears later is new as a whole.
    consumer = log.consumer(None, [topic or f"^{prefix.replace('.', '[.]')}.+"], "earliest")
    for place, offset in positions.items():
        consumer.seek(place, offset)
    return consumer, positions


class _Tail:
    """A reader's thread: polls the log and hands batches over, waiting where the reader is slow."""

    def __init__(self, log: Log, topic: str | None, resume: Mapping[TopicPartition, int] | None) -> None:
        self._log, self._topic, self._resume = log, topic, resume
        self._loop = asyncio.get_running_loop()
        self._stop = threading.Event()
        self.opened: asyncio.Future[Positions] = self._loop.create_future()
        self._batches: asyncio.Queue[list[Record] | None] = asyncio.Queue()
        self._room = threading.Semaphore(QUEUE)
        threading.Thread(target=self._run, name="live", daemon=True).start()

    def stop(self) -> None:
        """Have the thread end; it does within a poll."""
        self._stop.set()

    def _settle(self, positions: Positions | None, error: Exception | None) -> None:
        if self.opened.done():
            return
        if error is not None:
            self.opened.set_exception(error)
        else:
            self.opened.set_result(positions or {})

    def _run(self) -> None:
        with suppress(RuntimeError):  # the event loop is gone: so is the reader
            try:
                consumer, positions = _open(self._log, self._topic, self._resume)
            except Exception as error:  # noqa: BLE001 - told to whoever waits for the opening
                self._loop.call_soon_threadsafe(self._settle, None, error)
                return
            self._loop.call_soon_threadsafe(self._settle, positions, None)
            try:
                self._follow(consumer)
            except NunciusError as error:
                _log.warning("live stream broken off", reason=str(error))
            finally:
                consumer.close()
                self._hand_over(None)

    def _follow(self, consumer: Consumer) -> None:
        while not self._stop.is_set():
            records = consumer.poll(500, 4 << 20, POLL_SECONDS)
            if records:
                self._hand_over(records)

    def _hand_over(self, batch: list[Record] | None) -> None:
        while not self._room.acquire(timeout=POLL_SECONDS):
            if self._stop.is_set():
                return
        self._loop.call_soon_threadsafe(self._batches.put_nowait, batch)

    async def batches(self) -> AsyncIterator[list[Record]]:
        """Batches as they come, until the log is away."""
        while (batch := await self._batches.get()) is not None:
            self._room.release()
            yield batch


class _Eyes:
    """What a reader may see, looked up anew as long as they read."""

    def __init__(self, services: Services, request: Request) -> None:
        self._services, self._request = services, request
        self._until = 0.0
        self.hidden = Hidden()
        self.topics: frozenset[str] = frozenset()

    async def look(self) -> None:
        """Be right to a second.

        Raises
        ------
        UnauthenticatedError
            The reader's token is good no more.
        """
        if time.monotonic() < self._until:
            return
        self.hidden = await run_in_threadpool(lambda: hidden_from(self._services, recheck(self._request)))
        self.topics = frozenset(map(matched, self.hidden.filters))
        self._until = time.monotonic() + LOOK_SECONDS

    def token(self, positions: Mapping[TopicPartition, int]) -> str:
        """Where the reader is; of topics they may not see it does not tell the names."""
        shown = [(place, offset) for place, offset in sorted(positions.items()) if place.topic not in self.topics]
        return cursor.encode([[place.topic, place.partition, offset] for place, offset in shown])


def _positions(token: str) -> Positions:
    rows = cursor.decode(token, "Last-Event-ID")
    try:
        return {TopicPartition(str(topic), int(partition)): int(offset) for topic, partition, offset in rows}
    except (TypeError, ValueError, OverflowError) as error:
        raise UsageError("Last-Event-ID is not one of ours: leave it out to start with what comes next") from error


async def _told(
    tail: _Tail, positions: Positions, eyes: _Eyes, read: Callable[[Record], Match | None]
) -> AsyncIterator[ServerSentEvent]:
    """What a reader is told: where they begin, then the matches that they may see."""
    yield ServerSentEvent(event="ready", id=eyes.token(positions), data="{}", retry=2000)
    async for batch in tail.batches():
        await eyes.look()
        for record in batch:
            positions[record.place] = record.offset + 1
            match = read(record) if record.topic not in eyes.topics else None
            if match is not None:
                match.alert.annotations = eyes.hidden.kept(match.alert.annotations)
                data = match.model_dump_json(exclude_unset=True)
                yield ServerSentEvent(event="match", id=eyes.token(positions), data=data)


def router(services: Services) -> APIRouter:
    """Routes of this resource."""
    routes = APIRouter(tags=["matches"], responses=RESPONSES)
    read = match_reader(services.schemas)
    seats = threading.Semaphore(services.live_readers)

    async def events(tail: _Tail, positions: Positions, eyes: _Eyes) -> AsyncIterator[ServerSentEvent]:
        try:
            async for event in _told(tail, positions, eyes, read):
                yield event
        except UnauthenticatedError as error:
            _log.info("live stream ended", reason=str(error))
        except TransientError as error:
            _log.warning("live stream broken off", reason=str(error))
        finally:
            tail.stop()
            seats.release()

    @routes.get(
        "/live",
        response_class=EventSourceResponse,
        responses={
            200: {"description": "Events named `match`", "content": {"text/event-stream": {"schema": {"type": "string"}}}}
        },
    )
    async def live(
        request: Request,
        filter: Annotated[str | None, Query(description="Only matches of this filter", examples=["fast_risers"])] = None,  # noqa: A002
        last_event_id: Annotated[str | None, Header(description="Id of the last event had: resume after it")] = None,
        after: Annotated[str | None, Query(description="The same, for those who cannot set a header")] = None,
    ) -> EventSourceResponse:
        """Matches as they are published, for ever.

        Each event is named `match`; its data are a match as `/matches` has it. Silence is broken by comments.
        """
        token = last_event_id or after
        resume = _positions(token) if token else None
        eyes = _Eyes(services, request)
        await eyes.look()
        if filter is not None and filter not in {spec.name for spec in services.filters()} - eyes.hidden.filters:
            message = f"no filter {filter!r}: /api/v1/filters lists them"
            raise NotFoundError(message)
        if not seats.acquire(blocking=False):
            raise TooBusyError("as many live readers as this server takes are here; try again, or read the Kafka topics")
        tail = _Tail(services.log, matched(filter) if filter else None, resume)
        try:
            positions = await tail.opened
        except BaseException:
            tail.stop()
            seats.release()
            raise
        return EventSourceResponse(
            events(tail, positions, eyes), ping=services.heartbeat, headers={"Cache-Control": "no-store"}
        )

    return routes
