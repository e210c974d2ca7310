"""VOEvents over TCP to subscribers: every one gets every event its filters let through, and delays nobody else.

What is to go out at one time is written to a subscriber at once. Acknowledgements are counted, not parsed. One who does not
acknowledge, does not answer, or does not read is dropped; there is no queue of its own to fill beyond the connection's buffer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from lxml import etree

from broker import vtp
from broker.errors import DecodeError
from broker.safe_xml import parse_xml
from broker.telemetry import VTP_SENT, VTP_SUBSCRIBERS, get_logger
from broker.vtp import Frames, Network, Transport, pack, transport

__all__ = ["Broadcaster", "Rules"]

log = get_logger(__name__)

ANSWER_BYTES = 65_536  # longest frame a subscriber may send
FILTER_LENGTH, FILTERS = 1024, 16
_NOTHING = etree.Element("VOEvent")
FILTER_SECONDS = 1.0  # one that takes longer over an event costs its owners the connection


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
        Events a subscriber may owe an acknowledgement for.
    buffered_bytes
        That may wait for a subscriber to read them.
    """

    identity: str
    allow: tuple[Network, ...]
    connections: int = 200
    alive_seconds: float = 60.0
    unacknowledged: int = 1000
    buffered_bytes: int = 16 << 20


class Broadcaster:
    """All subscribers of one port."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.subscribers: set[_Subscriber] = set()
        self._filtering = ThreadPoolExecutor(2, "xpath")
        self._hanging: set[str] = set()

    async def serve(self, host: str, port: int) -> asyncio.Server:
        """Listen for subscribers."""
        return await asyncio.get_running_loop().create_server(lambda: _Subscriber(self), host, port)

    async def send(self, events: Sequence[bytes]) -> None:
        """Hand VOEvents to whoever wants them; returns when the connections have them, not when they arrive."""
        frames = [pack(event) for event in events]
        everything = b"".join(frames)
        for wanted in {each.filters for each in self.subscribers}:
            passed = await self._passed(wanted, events) if wanted else None
            some = everything if passed is None else b"".join(frames[number] for number in passed)
            count = len(events) if passed is None else len(passed)
            for subscriber in [each for each in self.subscribers if each.filters == wanted]:
                subscriber.write(some, count)
        await asyncio.sleep(0)

    async def ask(self) -> None:
        """Ask every subscriber, for ever, whether it lives."""
        while True:
            await asyncio.sleep(self.rules.alive_seconds)
            for subscriber in list(self.subscribers):
                subscriber.ask()

    def close(self) -> None:
        """End all connections."""
        for subscriber in list(self.subscribers):
            subscriber.drop("we are going down")
        self._filtering.shutdown(wait=False, cancel_futures=True)

    async def _passed(self, filters: tuple[str, ...], events: Sequence[bytes]) -> list[int]:
        """Numbers of the events that one of the filters is true for."""
        passed: set[int] = set()
        for text in filters:
            if text in self._hanging:
                continue
            work = asyncio.get_running_loop().run_in_executor(self._filtering, _true_for, text, events)
            try:
                passed |= set(await asyncio.wait_for(asyncio.shield(work), FILTER_SECONDS * len(events)))
            except TimeoutError:
                self._give_up(text)
        return sorted(passed)

    def _give_up(self, text: str) -> None:
        """The thread cannot be stopped: it is left to end by itself, and others get its place."""
        self._hanging.add(text)
        self._filtering.shutdown(wait=False)
        self._filtering = ThreadPoolExecutor(2, "xpath")
        for subscriber in [each for each in self.subscribers if text in each.filters]:
            subscriber.refuse(f"filter {text!r} takes more than {FILTER_SECONDS:g} s over an event")


class _Subscriber(asyncio.Protocol):
    """One connection."""

    def __init__(self, all_of_them: Broadcaster) -> None:
        self.filters: tuple[str, ...] = ()
        self._all = all_of_them
        self._rules = all_of_them.rules
        self._frames = Frames(ANSWER_BYTES)
        self._owed = 0  # acknowledgements
        self._asked = False
        self._since = time.monotonic()
        self._address = "?"

    def connection_made(self, link: asyncio.BaseTransport) -> None:
        assert isinstance(link, asyncio.Transport)
        self._link = link
        self._address = str((link.get_extra_info("peername") or ("?",))[0])
        if not vtp.allowed(self._address, self._rules.allow):
            self.drop("not on the allow list")
        elif len(self._all.subscribers) >= self._rules.connections:
            self.drop("too many subscribers")
        else:
            self._all.subscribers.add(self)
            VTP_SUBSCRIBERS.set(len(self._all.subscribers))
            log.info("subscriber has come", address=self._address)
            self._say(Transport("authenticate", self._rules.identity))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio names it
        if self in self._all.subscribers:
            self._all.subscribers.discard(self)
            VTP_SUBSCRIBERS.set(len(self._all.subscribers))
            log.info("subscriber has gone", address=self._address, after=round(time.monotonic() - self._since, 1))

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._frames.feed(data):
                role = vtp.role_of(frame)
                if role == "ack":
                    self._owed = max(0, self._owed - 1)
                elif role == "iamalive":
                    self._asked = False
                elif role == "nak":
                    self.drop(f"it refused an event: {vtp.read_transport(frame).result or 'no reason given'}")
                elif role == "authenticate":
                    self._install(vtp.read_transport(frame).filters)
                else:
                    self.drop("it says neither an acknowledgement nor an answer")
        except DecodeError as error:
            self.drop(str(error))

    def write(self, frames: bytes, count: int) -> None:
        """Hand over so many events."""
        if not count:
            return
        if self._owed >= self._rules.unacknowledged:
            self.drop(f"{self._owed} events are unacknowledged")
        elif self._link.get_write_buffer_size() > self._rules.buffered_bytes:
            self.drop("it does not read")
        else:
            self._link.write(frames)
            self._owed += count
            VTP_SENT.inc(count)

    def ask(self) -> None:
        """Ask whether it lives; one that has not answered the last time is gone."""
        if self._asked:
            self.drop("it does not answer")
        else:
            self._asked = True
            self._say(Transport("iamalive", self._rules.identity))

    def refuse(self, reason: str) -> None:
        """Tell why, and end."""
        self._say(Transport("nak", self._rules.identity, result=reason))
        self.drop(reason)

    def drop(self, reason: str) -> None:
        """End the connection."""
        log.info("subscriber is dropped", address=self._address, reason=reason)
        self._all.subscribers.discard(self)
        VTP_SUBSCRIBERS.set(len(self._all.subscribers))
        # What waits in the buffer of one that does not read would keep the connection for ever.
        if self._link.get_write_buffer_size() > ANSWER_BYTES:
            self._link.abort()
        else:
            self._link.close()

    def _install(self, filters: tuple[str, ...]) -> None:
        if len(filters) > FILTERS or any(len(each) > FILTER_LENGTH for each in filters):
            self.refuse(f"at most {FILTERS} filters of {FILTER_LENGTH} characters")
            return
        for each in filters:
            try:
                etree.XPath(each)(_NOTHING)  # much that is wrong shows only when it is asked
            except etree.XPathError as error:
                self.refuse(f"filter {each!r} is not XPath: {error}")
                return
        self.filters = filters
        if filters:
            log.info("subscriber has filters", address=self._address, filters=filters)

    def _say(self, message: Transport) -> None:
        self._link.write(pack(transport(message)))


def _true_for(text: str, events: Sequence[bytes]) -> list[int]:
    """Numbers of the events an XPath expression is true for; one it cannot be asked of is not."""
    test = etree.XPath(text)
    passed = []
    for number, event in enumerate(events):
        try:
            if _truth(test(parse_xml(event))):
                passed.append(number)
        except (etree.XPathError, DecodeError):
            continue
    return passed


def _truth(found: object) -> bool:
    return found == found and bool(found)  # noqa: PLR0124 - XPath's NaN is false
