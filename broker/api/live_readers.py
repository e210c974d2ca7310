"""What live readers are told, whichever way it reaches them: the matches that they may see, and where they are."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection

from broker.api.auth import recheck
from broker.api.framed import match_reader
from broker.api.hidden import Hidden, hidden_from
from broker.api.live_tail import Positions, Tail, positions_of, token_of
from broker.api.models import Match
from broker.api.problems import TooBusyError
from broker.api.services import Services
from broker.errors import NotFoundError
from broker.record import Record, TopicPartition
from broker.topics import matched

__all__ = ["Event", "Reader", "Readers"]

LOOK_SECONDS = 1.0  # between two looks at what a reader may see


@dataclass(frozen=True, slots=True)
class Event:
    """What a reader is told.

    Parameters
    ----------
    kind
        ``ready``: where they begin; ``match``; ``ping``: nothing came for a while.
    id
        Where they are after it.
    data
        JSON.
    """

    kind: Literal["ready", "match", "ping"]
    id: str
    data: str = "{}"


class _Eyes:
    """What a reader may see, looked up anew as long as they read."""

    def __init__(self, services: Services, connection: HTTPConnection) -> None:
        self._services, self._connection = services, connection
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
        self.hidden = await run_in_threadpool(lambda: hidden_from(self._services, recheck(self._connection)))
        self.topics = frozenset(map(matched, self.hidden.filters))
        self._until = time.monotonic() + LOOK_SECONDS

    def token(self, positions: Mapping[TopicPartition, int]) -> str:
        """Where the reader is; of topics they may not see it does not tell the names."""
        return token_of({place: offset for place, offset in positions.items() if place.topic not in self.topics})


class Reader:
    """A live reader that has a seat, until it leaves."""

    def __init__(self, tail: Tail, eyes: _Eyes, read: Callable[[Record], Match | None], leave: Callable[[], None]) -> None:
        self._tail, self._eyes, self._read, self._leave = tail, eyes, read, leave
        self._left = False
        self.positions: Positions = {}

    def leave(self) -> None:
        """Give back the seat; once is enough, and more does no harm."""
        if not self._left:
            self._left = True
            self._tail.stop()
            self._leave()

    async def events(self, silence: float) -> AsyncIterator[Event]:
        """Where they begin, then the matches that they may see, until the log is away.

        Parameters
        ----------
        silence
            Seconds without an event after which they are told that we live.

        Raises
        ------
        UnauthenticatedError
            Their token is good no more.
        """
        eyes, positions = self._eyes, self.positions
        yield Event("ready", eyes.token(positions))
        told = time.monotonic()
        async for batch in self._tail.batches(silence):
            await eyes.look()
            for record in batch:
                positions[record.place] = record.offset + 1
                match = self._read(record) if record.topic not in eyes.topics else None
                if match is not None:
                    match.alert.annotations = eyes.hidden.kept(match.alert.annotations)
                    yield Event("match", eyes.token(positions), match.model_dump_json(exclude_unset=True))
                    told = time.monotonic()
            if time.monotonic() - told >= silence:  # also where there are only matches that they may not see
                yield Event("ping", eyes.token(positions))
                told = time.monotonic()


class Readers:
    """The seats of live readers."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._read = match_reader(services.schemas)
        self._seats = threading.Semaphore(services.live_readers)

    async def sit(self, connection: HTTPConnection, filter_name: str | None, last: str | None) -> Reader:
        """A seat for who asks.

        Parameters
        ----------
        filter_name
            Only matches of this one.
        last
            Id of the last event that they had; empty or ``None`` to begin with what comes next.

        Raises
        ------
        UsageError
            The id is none of ours.
        NotFoundError
            There is no such filter that they may see.
        TooBusyError
            There is no seat left.
        """
        resume = positions_of(last) if last else None
        eyes = _Eyes(self._services, connection)
        await eyes.look()
        if (
            filter_name is not None
            and filter_name not in {spec.name for spec in self._services.filters()} - eyes.hidden.filters
        ):
            raise NotFoundError(f"no filter {filter_name!r}: /api/v1/filters lists them")
        if not self._seats.acquire(blocking=False):
            raise TooBusyError("as many live readers as this server takes are here; try again, or read the Kafka topics")
        tail = Tail(self._services.log, matched(filter_name) if filter_name else None, resume)
        reader = Reader(tail, eyes, self._read, self._seats.release)
        try:
            reader.positions = await tail.opened
        except BaseException:
            reader.leave()
            raise
        return reader
