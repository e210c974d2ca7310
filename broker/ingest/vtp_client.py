"""VOEvents over TCP from brokers we subscribe to, and to a broker as an author."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass

from broker import vtp
from broker.errors import DecodeError, TransientError
from broker.ingest.raw import Received
from broker.ingest.vtp_intake import READ, Intake, Limits, close, intake, say
from broker.telemetry import get_logger
from broker.vtp import Frames, Transport, pack

__all__ = ["Remote", "follow", "send"]

log = get_logger(__name__)

Take = Callable[[list[Received]], None]

SILENCE = 150.0  # seconds; peers ask whether we live every 60
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
HAND_BYTES = 64 << 20  # of events our log has not taken; no more is read until it has
LAST_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Remote:
    """A broker to subscribe to: its address, the name we give ourselves, and the XPath filters we ask for."""

    host: str
    port: int
    identity: str
    filters: tuple[str, ...] = ()


def follow(remote: Remote, take: Take, stop: threading.Event, limits: Limits) -> None:
    """Take events from another broker until `stop` is set; a lost connection is made anew, after ever longer waits."""
    asyncio.run(_followed(remote, take, stop, limits))


async def _followed(remote: Remote, take: Take, stop: threading.Event, limits: Limits) -> None:
    async with intake(take, tries=None) as into:  # nobody sends an event twice
        hand = _Hand(remote, into, limits.patience)
        following = asyncio.create_task(_reconnecting(remote, hand, limits))
        while not stop.is_set() and not following.done() and not into.task.done():  # noqa: ASYNC110  the event is a thread's
            await asyncio.sleep(0.1)
        following.cancel()
        try:
            with suppress(asyncio.CancelledError):
                await following
        finally:
            await hand.close()


class _Hand:
    """Events that have come and are not in our log yet, whatever becomes of the connection they came by."""

    def __init__(self, remote: Remote, into: Intake, patience: float) -> None:
        self._remote = remote
        self._into = into
        self._patience = patience
        self._tasks: set[asyncio.Task[None]] = set()
        self._bytes = 0

    async def take(self, frame: bytes, writer: asyncio.StreamWriter) -> None:
        """Return when there is room for the next; it is acknowledged when our log has it."""
        self._bytes += len(frame)
        task = asyncio.create_task(self._keep(frame, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        while self._bytes > HAND_BYTES:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    async def close(self) -> None:
        """A moment for what our log is taking just now."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=LAST_SECONDS)
            for task in late:
                task.cancel()
            if late:
                log.error("events from another broker are lost: our log is away", host=self._remote.host, events=len(late))

    async def _keep(self, frame: bytes, writer: asyncio.StreamWriter) -> None:
        remote = self._remote
        try:
            ivorn = vtp.ivorn_of(frame)
        except DecodeError as error:
            # Never refused with a nak, for which brokers drop their subscribers: kept, and rejected with its reason downstream.
            log.warning("not a VOEvent", host=remote.host, reason=str(error))
            ivorn = ""
        try:
            await self._into.put(Received(frame, f"vtp://{remote.host}:{remote.port}/{ivorn}"))
            if not writer.is_closing():
                async with asyncio.timeout(self._patience):
                    await say(writer, Transport("ack", ivorn, remote.identity))
        except TransientError:
            pass  # our log is broken, and tells why itself
        except OSError:
            writer.close()  # it does not read, or has gone
        finally:
            self._bytes -= len(frame)


async def _reconnecting(remote: Remote, hand: _Hand, limits: Limits) -> None:
    wait = FIRST_WAIT
    while True:
        try:
            reader, writer = await asyncio.open_connection(remote.host, remote.port, limit=READ)
            log.info("subscribed", host=remote.host, port=remote.port)
            try:
                async for _ in _subscribed(reader, writer, remote, hand, limits):
                    wait = FIRST_WAIT
            finally:
                await close(writer)
            reason = "the connection was closed"
        except (OSError, TimeoutError, DecodeError) as error:
            reason = str(error) or type(error).__name__
        log.warning("broker is away", host=remote.host, port=remote.port, reason=reason, again_in=round(wait, 1))
        await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311  spreads clients, keeps no secret
        wait = min(2 * wait, LONGEST_WAIT)


async def _subscribed(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, remote: Remote, hand: _Hand, limits: Limits
) -> AsyncIterator[bytes]:
    """Every frame, once it is dealt with or in hand: questions are answered while our log is away."""
    frames = Frames(limits.max_bytes)
    while True:
        async with asyncio.timeout(SILENCE):
            data = await reader.read(READ)
        if not data:
            return
        for frame in frames.feed(data):
            role = vtp.role_of(frame)
            async with asyncio.timeout(SILENCE if role else None):
                if role == "iamalive":
                    await say(writer, Transport("iamalive", vtp.read_transport(frame).origin, remote.identity))
                elif role == "authenticate":
                    origin = vtp.read_transport(frame).origin
                    await say(writer, Transport("authenticate", origin, remote.identity, filters=remote.filters))
                elif role is None:
                    await hand.take(frame, writer)
            yield frame


async def send(host: str, port: int, data: bytes, *, patience: float = 20.0) -> Transport:
    """Send a VOEvent as its author, and return the broker's answer, ``ack`` or ``nak``.

    Raises
    ------
    OSError, TimeoutError
        Nobody answers there.
    DecodeError
        The answer is none, or there is none though somebody took the connection.
    """
    async with asyncio.timeout(patience):
        reader, writer = await asyncio.open_connection(host, port)
        # Who hangs up on what we have sent resets the connection or ends it, as chance will have it.
        with suppress(ConnectionResetError, BrokenPipeError):
            try:
                writer.write(pack(data))
                frames = Frames(READ)
                while received := await reader.read(READ):
                    for frame in frames.feed(received):
                        if vtp.role_of(frame) in {"ack", "nak"}:
                            return vtp.read_transport(frame)
            finally:
                await close(writer)
    raise DecodeError(
        f"{host}:{port} took the connection and ended it without an answer: our address may not be among those it takes "
        "authors from (vtp.allow, where it is Nuncius), or it is no VOEvent broker"
    )
