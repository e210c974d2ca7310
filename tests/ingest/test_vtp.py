"""Authors and other brokers at their worst, and our log at its worst, over real sockets."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from contextlib import suppress
from ipaddress import ip_network

import pytest

from broker.errors import LogUnavailableError, UsageError
from broker.ingest.raw import Received
from broker.ingest.vtp_authors import Authors, author_server
from broker.ingest.vtp_client import Remote, follow, send
from broker.ingest.vtp_intake import Intake, Limits, intake
from broker.vtp import Frames, Transport, pack, read_transport, transport
from tests.vtp_peers import finished, voevent

LOCAL = (ip_network("127.0.0.0/8"),)
ASK = pack(transport(Transport("iamalive", "ivo://e/" + "x" * 20_000)))


async def _listening(into: Intake, limits: Limits) -> tuple[asyncio.Server, int]:
    server = await author_server("127.0.0.1", 0, Authors("ivo://us", LOCAL, limits), into)
    return server, server.sockets[0].getsockname()[1]


def test_what_our_log_never_takes_is_refused_and_ends_the_intake_with_its_reason() -> None:
    def take(_batch: list[Received]) -> None:
        raise UsageError("33 MB are too many for topic raw.gcn")

    answers: list[Transport] = []

    async def run() -> None:
        async with intake(take) as into:
            server, port = await _listening(into, Limits())
            with suppress(TimeoutError):  # what the intake ends with is raised all the same
                answers.extend([await send("127.0.0.1", port, voevent(number), patience=5.0) for number in range(3)])
            server.close()

    with pytest.raises(UsageError, match="33 MB"):
        finished(run())
    assert [each.role for each in answers] == ["nak"] * 3
    assert "33 MB" in answers[0].result


def test_one_who_does_not_read_holds_no_place() -> None:
    async def run() -> None:
        limits = Limits(connections=3, per_address=3, patience=0.5)
        async with intake(lambda _batch: None) as into:
            server, port = await _listening(into, limits)
            loop = asyncio.get_running_loop()
            deaf = []
            for _ in range(3):
                made = socket.socket()
                made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
                made.connect(("127.0.0.1", port))
                made.setblocking(False)
                deaf.append(made)

            async def flood(made: socket.socket) -> None:
                with suppress(OSError):
                    while True:
                        async with asyncio.timeout(1.0):
                            await loop.sock_sendall(made, ASK)

            await asyncio.gather(*map(flood, deaf))
            await asyncio.sleep(2.5)
            assert (await send("127.0.0.1", port, voevent(1), patience=5.0)).role == "ack"
            server.close()
            for made in deaf:
                made.close()

    finished(run())


class Other:
    """A broker that sends each of its events once, on its first connection, and then asks whether we live."""

    def __init__(self, events: list[bytes], *, hang_up: bool = False) -> None:
        self.events, self.hang_up = events, hang_up
        self.connections = 0
        self.heard: list[Transport] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._talk(reader, writer)
        finally:
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.connections == 1:
            writer.write(b"".join(map(pack, self.events)))
            await writer.drain()
            if self.hang_up:
                await asyncio.sleep(0.2)
                return
        writer.write(pack(transport(Transport("iamalive", "ivo://other"))))
        frames = Frames(1 << 20)
        with suppress(OSError):
            while data := await reader.read(65_536):
                self.heard += [read_transport(frame) for frame in frames.feed(data)]


def _followed(other: Other, away: float, *, seconds: float) -> list[bytes]:
    """What our log has in the end, which is away at first."""
    kept: list[bytes] = []
    until = time.monotonic() + away

    def take(batch: list[Received]) -> None:
        if time.monotonic() < until:
            raise LogUnavailableError("away")
        kept.extend(one.value for one in batch)

    async def run() -> None:
        server = await asyncio.start_server(other, "127.0.0.1", 0)
        stop = threading.Event()
        remote = Remote("127.0.0.1", server.sockets[0].getsockname()[1], "ivo://us")
        following = asyncio.create_task(asyncio.to_thread(follow, remote, take, stop, Limits()))
        deadline = time.monotonic() + seconds
        while len(kept) < len(other.events) and time.monotonic() < deadline:
            if time.monotonic() < until - 1:
                assert not any(each.role == "ack" for each in other.heard)
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.3)
        stop.set()
        await following
        server.close()

    finished(run())
    return kept


def test_an_event_is_held_for_as_long_as_our_log_is_away_and_questions_are_answered() -> None:
    events = [voevent(number) for number in range(20)]
    other = Other(events)
    assert _followed(other, 6.0, seconds=20.0) == events
    assert other.connections == 1
    assert other.heard[0].role == "iamalive"
    assert [each.role for each in other.heard[1:]] == ["ack"] * 20


def test_an_event_outlives_the_connection_it_came_by() -> None:
    assert _followed(Other([voevent(1)], hang_up=True), 5.0, seconds=20.0) == [voevent(1)]
