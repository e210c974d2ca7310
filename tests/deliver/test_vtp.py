"""The broadcaster before hostile, slow and quick subscribers, over real sockets."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from broker.deliver import vtp_subscriber
from broker.deliver.vtp import Broadcaster, Rules
from broker.deliver.vtp_filters import REFUSED, Refused, objection
from broker.vtp import Frames, Transport, pack, read_transport, role_of, transport
from tests.vtp_peers import finished, voevent

RULES = Rules("ivo://us", (ip_network("127.0.0.0/8"),))
MANY = b"<VOEvent ivorn='ivo://a/b#1'><What>" + b"<Param/>" * 2000 + b"</What></VOEvent>"
ENDLESS = (
    "count(//*[count(//*[count(//*[count(//*)=1])=1])=1])=1"  # the fourth power of the event's size; of nothing's, nothing
)
ACK = pack(transport(Transport("ack", "ivo://a/b", "ivo://them")))


class Reader:
    """One subscriber."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.frames = Frames(1 << 24)
        self.events: list[bytes] = []
        self.refused = ""
        self.ended = False
        self.wait = 0.0  # before each acknowledgement
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            while data := await self.reader.read(65_536):
                for frame in self.frames.feed(data):
                    role = role_of(frame)
                    if role is None:
                        self.events.append(frame)
                        await asyncio.sleep(self.wait)
                        self.writer.write(ACK)
                    elif role == "nak":
                        self.refused = read_transport(frame).result
        except OSError:
            pass
        finally:
            self.ended = True
            self.writer.close()

    async def close(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task
        with suppress(OSError):
            await self.writer.wait_closed()

    def ask(self, *filters: str) -> None:
        self.writer.write(pack(transport(Transport("authenticate", "ivo://us", "ivo://them", filters=filters))))


class Served:
    def __init__(self, broadcaster: Broadcaster, port: int) -> None:
        self.broadcaster, self.port = broadcaster, port
        self.readers: list[Reader] = []

    async def connected(self) -> Reader:
        self.readers.append(Reader(*await asyncio.open_connection("127.0.0.1", self.port)))
        return self.readers[-1]

    async def reader(self, *filters: str) -> Reader:
        before = len(self.broadcaster.subscribers)
        made = await self.connected()
        await until(lambda: len(self.broadcaster.subscribers) > before)
        if filters:
            made.ask(*filters)
            await until(lambda: made.ended or any(one.filters == filters for one in self.broadcaster.subscribers))
        return made


@asynccontextmanager
async def serving(rules: Rules = RULES, **changed: Any) -> AsyncIterator[Served]:
    broadcaster = Broadcaster(replace(rules, **changed))
    server = await broadcaster.serve("127.0.0.1", 0)
    made = Served(broadcaster, server.sockets[0].getsockname()[1])
    try:
        yield made
    finally:
        server.close()
        await broadcaster.close()
        for reader in made.readers:
            await reader.close()


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  of whatever kind
            await asyncio.sleep(0.01)


def nested(depth: int) -> str:
    """Doubles its cost with each level, even of an empty element."""
    text = "1"
    for _ in range(depth):
        text = f"count((/|/*)[{text}=9])"
    return text


@pytest.mark.parametrize("text", [nested(60), nested(16), nested(8) + "=" + "+".join(["count(//*|/)"] * 60), nested(8)])
def test_no_filter_can_stop_the_loop(text: str) -> None:
    async def run() -> None:
        async with serving() as found:
            other = await found.reader()
            evil = await found.connected()
            evil.ask(text[:1024])
            worst, began = 0.0, time.monotonic()
            while time.monotonic() - began < 0.5:
                tick = time.monotonic()
                await asyncio.sleep(0.01)
                worst = max(worst, time.monotonic() - tick)
            await found.broadcaster.send([voevent(1)])
            await until(lambda: len(other.events) == 1)
            assert worst < 4.0  # a loop that evaluates it stands still for ever

    finished(run())


def test_what_never_comes_to_an_end_costs_its_owner_the_connection_and_is_known_the_next_time() -> None:
    async def run() -> None:
        async with serving() as found:
            endless = await found.reader(ENDLESS)
            assert not endless.ended
            await found.broadcaster.send([MANY])
            await until(lambda: endless.ended)
            assert "more than 1 s" in endless.refused
            again = await found.reader(ENDLESS)
            await until(lambda: again.ended)
            assert "more than 1 s" in again.refused

    finished(run())


def test_slow_filters_delay_nobody_without_and_known_ones_little() -> None:
    async def run() -> None:
        async with serving() as found:
            chosen = await found.reader("//Param")
            await found.broadcaster.send([MANY])
            await until(lambda: chosen.events == [MANY])
            slow = [await found.reader(f"{ENDLESS} or {number} = 9") for number in range(4)]
            everything = await found.reader()
            began = time.monotonic()
            for _ in range(5):
                await found.broadcaster.send([MANY])
            assert time.monotonic() - began < 3.5  # each of the slow has a second
            await until(lambda: len(everything.events) == 5)
            await until(lambda: len(chosen.events) == 6)
            await until(lambda: all(each.ended for each in slow))
            assert not chosen.ended

    finished(run())


def test_what_all_filters_take_is_bounded_and_newcomers_go_first() -> None:
    cubic = "count(//*[count(//*[count(//*)=1])=1])=1"
    event = b"<VOEvent ivorn='ivo://a/b#1'>" + b"<Param/>" * 330 + b"</VOEvent>"

    async def run() -> None:
        async with serving() as found:
            good = await found.reader("//Param")
            await found.broadcaster.send([event])
            await until(lambda: len(good.events) == 1)
            slow = [await found.reader(*(f"{cubic} or {number + 100 * k} = 9" for k in range(16))) for number in range(2)]
            for _ in range(3):
                await found.broadcaster.send([event])
            await until(lambda: len(good.events) == 4, 60.0)
            await until(lambda: any(each.ended for each in slow), 60.0)
            assert not good.ended

    finished(run())


def test_what_comes_while_a_filter_is_tried_is_not_lost() -> None:
    async def run() -> None:
        async with serving() as found:
            reader = await found.reader()
            reader.ask("//Param[@value='2' or @value='3']")
            await until(lambda: all(one._held is not None for one in found.broadcaster.subscribers))
            for number in (1, 2, 3):
                await found.broadcaster.send([voevent(number)])
            await until(lambda: reader.events == [voevent(2), voevent(3)])

    finished(run())


def test_processes_of_filters_end_with_us_and_nothing_that_hangs_keeps_them() -> None:
    children: list[int] = []

    async def run() -> None:
        async with serving() as found:
            await found.reader(ENDLESS)
            await found.broadcaster.send([MANY])
            await asyncio.sleep(0.3)
            asking = (found.broadcaster._known, found.broadcaster._newcomers)
            children.extend(each._process.pid for each in asking if each._process)

    began = time.monotonic()
    finished(run())
    assert time.monotonic() - began < 30  # and not for ever
    assert children
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists() and os.getpgid(pid) == pid]


def test_refused_filters_are_kept_within_bounds() -> None:
    refused = Refused()
    for number in range(REFUSED + 10):
        refused.add(str(number), "slow")
    assert not refused.reason(["0"])
    assert refused.reason(["1=1", str(REFUSED)]) == "slow"
    assert len(refused._reasons) == REFUSED


def test_brackets_in_literals_are_no_nesting() -> None:
    assert objection(["//Param[@name='" + "(" * 30 + "']"]) == ""
    assert "nested" in objection(["(" * 30 + "1" + ")" * 30])


def test_a_burst_is_no_fault_of_who_acknowledges_it() -> None:
    async def run() -> None:
        async with serving() as found:
            reader = await found.reader()
            reader.wait = 0.001
            for burst in range(4):
                await found.broadcaster.send([voevent(500 * burst + number) for number in range(500)])
                await asyncio.sleep(0.02)
            await until(lambda: len(reader.events) == 2000)
            assert not reader.ended

    finished(run())


def test_who_acknowledges_nothing_for_too_long_is_dropped() -> None:
    async def run() -> None:
        async with serving(unacknowledged=5, patience=0.3, alive_seconds=0.2) as found:
            asking = asyncio.create_task(found.broadcaster.ask())
            reader = await found.reader()
            reader.wait = 30.0
            await found.broadcaster.send([voevent(number) for number in range(6)])
            assert found.broadcaster.subscribers
            await asyncio.sleep(0.35)
            await found.broadcaster.send([voevent(7)])
            assert not found.broadcaster.subscribers
            asking.cancel()

    finished(run())


def test_connections_of_the_dropped_are_counted_and_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vtp_subscriber, "LINGER_SECONDS", 6.0)  # so that a slow machine finds the places still held

    async def run() -> None:
        async with serving(connections=5) as found:
            deaf = []
            for _ in range(5):
                made = socket.socket()
                made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
                made.connect(("127.0.0.1", found.port))
                deaf.append(made)
            await until(lambda: len(found.broadcaster.subscribers) == 5)
            links = list(found.broadcaster.subscribers)
            for each in links:
                while not each._link.get_write_buffer_size():
                    each.write(pack(voevent(1, padding="x" * 30_000)), 1)
                    await asyncio.sleep(0)
            assert all(each._link.get_write_buffer_size() <= 65_536 for each in links)
            for each in links:
                each.drop("for the test")
            assert not found.broadcaster.subscribers
            late = await found.connected()
            await until(lambda: late.ended, 5.0)  # the places are still held
            assert not found.broadcaster.subscribers
            await until(lambda: not found.broadcaster.links.open, 30.0)
            for each in deaf:
                each.close()

    finished(run())
