"""VOEvents from authors to the last of fifty subscribers, through Nuncius and through Comet's broker, in turns."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from broker.vtp import Frames, Transport, pack, role_of, transport
from tests.vtp_peers import answers, free_port, voevent

__all__ = ["run"]

SUBSCRIBERS = 50
AUTHORS = 50
PADDING = "x" * 3000  # a notice of GCN's has some four kilobytes
ACK = pack(transport(Transport("ack", "ivo://example.org/tests#0", "ivo://reader")))
HELLO = pack(transport(Transport("authenticate", "ivo://broker", "ivo://reader")))
ALIVE = pack(transport(Transport("iamalive", "ivo://broker", "ivo://reader")))


class Reader(asyncio.Protocol):
    """A subscriber that acknowledges and counts."""

    def __init__(self) -> None:
        self.count = 0
        self.ready = asyncio.Event()
        self._frames = Frames(1 << 24)

    def connection_made(self, link: asyncio.BaseTransport) -> None:
        assert isinstance(link, asyncio.Transport)
        self._link = link

    def data_received(self, data: bytes) -> None:
        events = 0
        for frame in self._frames.feed(data):
            role = role_of(frame)
            if role is None:
                events += 1
            elif role == "authenticate":
                self._link.write(HELLO)
                self.ready.set()
            elif role == "iamalive":
                self._link.write(ALIVE)
        if events:
            self._link.write(ACK * events)
            self.count += events


def run(folder: Path, _services: object, *, quick: bool) -> dict[str, Any]:
    """Events a second, both brokers in turns."""
    console = Console()
    count = 200 if quick else 1000
    rates: dict[str, list[float]] = {"nuncius": [], "comet": []}
    with console.status("VOEvents to fifty subscribers"):
        for number in range(1 if quick else 3):
            for name, broker in (("nuncius", _nuncius), ("comet", _comet)):
                place = folder / f"vtp-{name}-{number}"
                place.mkdir()
                with broker(place) as (author, subscriber):
                    rates[name].append(asyncio.run(_measure(author, subscriber, number * count, count)))
    middle = {name: statistics.median(each) for name, each in rates.items()}
    table = Table("broker", "events/s", "range", title=f"VOEvents of 3.4 kB, author to last of {SUBSCRIBERS} subscribers")
    for name, each in rates.items():
        table.add_row(name, f"{middle[name]:,.0f}", f"{min(each):,.0f} to {max(each):,.0f}")
    console.print(table)
    console.print(f"ratio {middle['nuncius'] / middle['comet']:.1f}")
    return {"rates": rates, "ratio": middle["nuncius"] / middle["comet"]}


async def _measure(author: int, subscriber: int, first: int, count: int) -> float:
    loop = asyncio.get_running_loop()
    readers = [(await loop.create_connection(Reader, "127.0.0.1", subscriber))[1] for _ in range(SUBSCRIBERS)]
    await asyncio.gather(*(asyncio.wait_for(reader.ready.wait(), 30) for reader in readers))
    waiting = iter(range(first, first + count))
    began = time.perf_counter()
    await asyncio.gather(*(_author(author, waiting) for _ in range(AUTHORS)))
    while min(reader.count for reader in readers) < count:
        if time.perf_counter() - began > 300:
            raise TimeoutError(f"{min(reader.count for reader in readers)} of {count} have come")
        await asyncio.sleep(0.002)
    took = time.perf_counter() - began
    for reader in readers:
        reader._link.close()  # noqa: SLF001
    return count / took


async def _author(port: int, numbers: Iterator[int]) -> None:
    """Send one event after another, each on a connection of its own, as Comet's authors do."""
    for number in numbers:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(pack(voevent(number, padding=PADDING)))
        size = int.from_bytes(await reader.readexactly(4), "big")
        answer = await reader.readexactly(size)
        if role_of(answer) != "ack":
            raise RuntimeError(answer.decode())
        writer.close()
        await writer.wait_closed()


@contextmanager
def _nuncius(place: Path) -> Iterator[tuple[int, int]]:
    author, subscriber = free_port(), free_port()
    (place / "nuncius.toml").write_text(
        f"[vtp]\nauthor_port = {author}\nsubscriber_port = {subscriber}\nrelay = true\nevents = false\ntest_events = true\n"
        f'per_address = 100\nunacknowledged = 100000\n[output]\nlevel = "error"\n'
    )
    with _running([sys.executable, "-m", "broker", "--data", str(place), "vtp"], subscriber):
        yield author, subscriber


@contextmanager
def _comet(place: Path) -> Iterator[tuple[int, int]]:
    author, subscriber = free_port(), free_port()
    (place / "db").mkdir()
    twistd = "import sys; from twisted.scripts.twistd import run; sys.argv[0] = 'twistd'; run()"
    command = [
        sys.executable,
        "-c",
        twistd,
        "-n",
        f"--pidfile={place / 'pid'}",
        f"--logfile={place / 'log'}",
        "comet",
        "-q",
        "-q",
    ]
    command += ["--local-ivo=ivo://comet.example/broker", f"--eventdb={place / 'db'}", "--broadcast-test-interval=0"]
    command += ["--receive", f"--receive-port={author}", "--broadcast", f"--broadcast-port={subscriber}"]
    with _running(command, subscriber):
        yield author, subscriber


@contextmanager
def _running(command: list[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ.copy())
    try:
        deadline = time.monotonic() + 60
        while not answers(port):
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError(f"{' '.join(command)} does not answer")
            time.sleep(0.1)
        time.sleep(1.0)
        yield
    finally:
        process.terminate()
        process.wait(30)
