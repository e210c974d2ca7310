"""One subscriber's connection: what it is handed, what it owes, what it asks for, and when it is at an end."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from broker import vtp
from broker.deliver.vtp_filters import objection
from broker.errors import DecodeError
from broker.telemetry import VTP_SENT, VTP_SUBSCRIBERS, get_logger
from broker.vtp import Frames, Network, Transport, pack, transport

__all__ = ["Batch", "Links", "Rules", "Subscriber"]

log = get_logger(__name__)

ANSWER_BYTES = 65_536  # longest frame a subscriber may send
LINGER_SECONDS = 1.0  # for what is on its way when a connection is ended


@dataclass(frozen=True, slots=True)
class Rules:
    """What a subscriber may and must.

    Parameters
    ----------
    identity
        Our ivorn.
    allow
        Networks that may connect.
    connections
        Open at once.
    alive_seconds
        Between two questions whether a subscriber lives; the next finds the last one answered, or drops it.
    unacknowledged
        Events a subscriber may owe an acknowledgement for, once `patience` is over.
    patience
        Seconds for an acknowledgement: a burst is no fault of who gets it.
    buffered_bytes
        That may wait for a subscriber to read them.
    """

    identity: str
    allow: tuple[Network, ...]
    connections: int = 200
    alive_seconds: float = 60.0
    unacknowledged: int = 1000
    patience: float = 20.0
    buffered_bytes: int = 16 << 20


@dataclass(frozen=True, slots=True)
class Batch:
    """Events that go out at one time, and their frames."""

    events: tuple[bytes, ...]
    frames: tuple[bytes, ...]

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(map(len, self.frames))


@dataclass(frozen=True, slots=True)
class Links:
    """What the subscribers of one port have in common.

    Parameters
    ----------
    trial
        Why filters are to be refused, once they have been asked; empty if they are not.
    hold
        Takes what came for a subscriber while its filters were tried.
    open
        Every connection there is, those too that are being ended.
    subscribers
        Those that get events.
    """

    rules: Rules
    trial: Callable[[tuple[str, ...]], Awaitable[str]]
    hold: Callable[[Subscriber, Batch], None]
    open: set[Subscriber] = field(default_factory=set)
    subscribers: set[Subscriber] = field(default_factory=set)


class Subscriber(asyncio.Protocol):
    """One connection."""

    def __init__(self, links: Links) -> None:
        self.filters: tuple[str, ...] = ()
        self._links = links
        self._rules = links.rules
        self._frames = Frames(ANSWER_BYTES)
        self._owed = 0  # acknowledgements
        self._sent: deque[list[float]] = deque()  # when, and how many of it are owed
        self._asked = False
        self._since = time.monotonic()
        self._address = "?"
        self._held: list[Batch] | None = None  # while its filters are tried
        self._trial: asyncio.Task[None] | None = None

    def connection_made(self, link: asyncio.BaseTransport) -> None:
        """Let it in, or not."""
        assert isinstance(link, asyncio.Transport)
        self._link = link
        self._address = str((link.get_extra_info("peername") or ("?",))[0])
        self._links.open.add(self)
        if not vtp.allowed(self._address, self._rules.allow):
            self.drop("not on the allow list")
        elif len(self._links.open) > self._rules.connections:
            self.drop("too many subscribers")
        else:
            self._links.subscribers.add(self)
            VTP_SUBSCRIBERS.set(len(self._links.subscribers))
            log.info("subscriber has come", address=self._address)
            self._say(Transport("authenticate", self._rules.identity))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio names it
        """Forget it."""
        self._links.open.discard(self)
        if self in self._links.subscribers:
            self._leave()
            log.info("subscriber has gone", address=self._address, after=round(time.monotonic() - self._since, 1))

    def data_received(self, data: bytes) -> None:
        """Hear what it says."""
        try:
            for frame in self._frames.feed(data):
                if self not in self._links.subscribers:
                    return  # it is being ended
                self._hear(frame)
        except DecodeError as error:
            self.drop(str(error))

    def _hear(self, frame: bytes) -> None:
        role = vtp.role_of(frame)
        if role == "ack":
            self._acknowledged()
        elif role == "iamalive":
            self._asked = False
        elif role == "nak":
            self.drop(f"it refused an event: {vtp.read_transport(frame).result or 'no reason given'}")
        elif role == "authenticate":
            self._install(vtp.read_transport(frame).filters)
        else:
            self.drop("it says neither an acknowledgement nor an answer")

    def hold(self, batch: Batch) -> bool:
        """Whether its filters are not known yet; the events then wait here until they are."""
        if self._held is None:
            return False
        self._held.append(batch)
        if sum(each.size for each in self._held) > self._rules.buffered_bytes:
            self.drop("too much came while its filters were tried")
        return True

    def write(self, frames: bytes, count: int) -> None:
        """Hand over so many events."""
        if not count or self not in self._links.subscribers:
            return
        if self._overdue():
            return
        if self._link.get_write_buffer_size() > self._rules.buffered_bytes:
            self.drop("it does not read")
            return
        self._link.write(frames)
        self._owed += count
        self._sent.append([time.monotonic(), count])
        VTP_SENT.inc(count)

    def ask(self) -> None:
        """Ask whether it lives; one that has not answered the last time is gone."""
        if self._asked:
            self.drop("it does not answer")
        elif not self._overdue():
            self._asked = True
            self._say(Transport("iamalive", self._rules.identity))

    def refuse(self, reason: str) -> None:
        """Tell why, and end."""
        if self in self._links.subscribers:
            self._say(Transport("nak", self._rules.identity, result=reason))
            self.drop(reason)

    def drop(self, reason: str) -> None:
        """End the connection."""
        log.info("subscriber is dropped", address=self._address, reason=reason)
        self._leave()
        # What waits in the buffer of one that does not read would keep the connection for ever.
        if self._link.get_write_buffer_size() > ANSWER_BYTES:
            self._link.abort()
        else:
            self._link.close()
            asyncio.get_running_loop().call_later(LINGER_SECONDS, self._link.abort)

    def abort(self) -> None:
        """End the connection whatever waits for it."""
        self._link.abort()

    def _leave(self) -> None:
        self._links.subscribers.discard(self)
        VTP_SUBSCRIBERS.set(len(self._links.subscribers))
        self._held = None
        if self._trial is not None:
            self._trial.cancel()

    def _acknowledged(self) -> None:
        if self._owed:
            self._owed -= 1
            self._sent[0][1] -= 1
            if not self._sent[0][1]:
                self._sent.popleft()

    def _overdue(self) -> bool:
        """Whether it owes too many acknowledgements for too long; it is dropped then."""
        if self._owed <= self._rules.unacknowledged:
            return False
        before = time.monotonic() - self._rules.patience
        overdue = sum(int(count) for when, count in self._sent if when < before)
        if overdue <= self._rules.unacknowledged:
            return False
        self.drop(f"{overdue} events are unacknowledged for more than {self._rules.patience:g} s")
        return True

    def _install(self, filters: tuple[str, ...]) -> None:
        if fault := objection(filters):
            self.refuse(fault)
        elif self._held is not None:
            self.drop("it sends filters before its last ones are known")
        elif filters:
            self._held = []
            self._trial = asyncio.get_running_loop().create_task(self._tried(filters))
        else:
            self.filters = ()

    async def _tried(self, filters: tuple[str, ...]) -> None:
        fault = await self._links.trial(filters)
        held, self._held, self._trial = self._held or [], None, None
        if fault:
            self.refuse(fault)
            return
        self.filters = filters
        log.info("subscriber has filters", address=self._address, filters=filters)
        for batch in held:
            self._links.hold(self, batch)

    def _say(self, message: Transport) -> None:
        self._link.write(pack(transport(message)))
