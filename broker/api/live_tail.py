"""The ``matched.*`` topics read on from where a reader is, in a thread of the reader's own.

The id of what a reader is told holds the position of every partition after it, so whoever comes back with it misses nothing and
sees nothing twice, whichever server it comes back to.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress

from broker.api import cursor
from broker.errors import NunciusError, UsageError
from broker.record import Record, TopicPartition
from broker.stream.log import Consumer, Log
from broker.telemetry import get_logger
from broker.topics import matched

__all__ = ["Positions", "Tail", "positions_of", "token_of"]

_log = get_logger(__name__)
POLL_SECONDS = 0.5
QUEUE = 8
Positions = dict[TopicPartition, int]


def token_of(positions: Mapping[TopicPartition, int]) -> str:
    """The id that stands for these positions."""
    return cursor.encode([[place.topic, place.partition, offset] for place, offset in sorted(positions.items())])


def positions_of(token: str) -> Positions:
    """Positions that an id stands for.

    Raises
    ------
    UsageError
        It is none of ours.
    """
    rows = cursor.decode(token, "the id of the last event")
    try:
        return {TopicPartition(str(topic), int(partition)): int(offset) for topic, partition, offset in rows}
    except (TypeError, ValueError, OverflowError) as error:
        raise UsageError("the id of the last event is not one of ours: leave it out to start with what comes next") from error


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


class Tail:
    """A reader's thread: polls the log and hands batches over, waiting where the reader is slow.

    Parameters
    ----------
    topic
        The only one to read; ``None`` for all ``matched.*``.
    resume
        Where the reader broke off; ``None`` to begin with what comes next.
    """

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

    async def batches(self, silence: float) -> AsyncIterator[list[Record]]:
        """Batches as they come, and an empty one after each `silence` seconds without any, until the log is away."""
        while True:
            try:
                async with asyncio.timeout(silence):
                    batch = await self._batches.get()
            except TimeoutError:
                yield []
                continue
            if batch is None:
                return
            self._room.release()
            yield batch
