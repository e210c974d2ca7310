"""The other side of the VOEvent transport, over real sockets: authors and subscribers by hand, and Comet."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self, TypeVar

from broker.vtp import Frames, Transport, pack, read_transport, role_of, transport

PATIENCE = 30.0
Result = TypeVar("Result")


def voevent(number: int, *, padding: str = "", role: str = "test") -> bytes:
    """A small valid VOEvent 2.0."""
    return (
        f"<?xml version='1.0' encoding='UTF-8'?>\n<voe:VOEvent xmlns:voe='http://www.ivoa.net/xml/VOEvent/v2.0' version='2.0' "
        f"role='{role}' ivorn='ivo://example.org/tests#{number}'><Who><AuthorIVORN>ivo://example.org</AuthorIVORN>"
        f"<Date>2026-11-21T00:00:00</Date></Who><What><Param name='number' value='{number}'/>"
        f"<Description>{padding}</Description></What></voe:VOEvent>"
    ).encode()


class Peer:
    """One connection, read frame by frame."""

    def __init__(self, port: int, limit: int = 1 << 24) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._frames = Frames(limit)
        self._ready: list[bytes] = []

    def send(self, data: bytes) -> None:
        self.socket.sendall(pack(data))

    def say(self, message: Transport) -> None:
        self.send(transport(message))

    def read(self) -> bytes | None:
        """The next frame; ``None`` when the other side has ended the connection."""
        while not self._ready:
            try:
                data = self.socket.recv(65_536)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self._ready += self._frames.feed(data)
        return self._ready.pop(0)

    def read_message(self) -> Transport | None:
        data = self.read()
        return None if data is None else read_transport(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


class Subscriber:
    """A well-behaved subscriber in a thread: acknowledges everything, keeps every event."""

    def __init__(self, port: int, filters: tuple[str, ...] = ()) -> None:
        self.events: list[bytes] = []
        self.asked = 0
        self.ended = threading.Event()
        self.ready = threading.Event()
        self._peer = Peer(port)
        self._filters = filters
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self.ready.wait(PATIENCE)

    def _run(self) -> None:
        try:
            while (data := self._peer.read()) is not None:
                self._take(data)
        except OSError:
            pass
        finally:
            self._peer.socket.close()
            self.ended.set()

    def _take(self, data: bytes) -> None:
        role = role_of(data)
        if role == "authenticate":
            self._peer.say(Transport("authenticate", "ivo://us", "ivo://them", filters=self._filters))
            self.ready.set()
        elif role == "iamalive":
            self.asked += 1
            self._peer.say(Transport("iamalive", "ivo://us", "ivo://them"))
        elif role is None:
            self.events.append(data)
            self._peer.say(Transport("ack", "ivo://event", "ivo://them"))

    def wait(self, count: int) -> list[bytes]:
        deadline = time.monotonic() + PATIENCE
        while len(self.events) < count and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.events

    def close(self) -> None:
        with suppress(OSError):  # it may have been ended
            self._peer.socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()


def finished(work: Coroutine[object, object, Result]) -> Result:
    """What a coroutine gives, run in a thread of its own: a browser's tests may hold a loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@contextmanager
def comet(folder: Path, *arguments: str) -> Iterator[None]:
    """Comet's broker as its users start it, with a database and a log of its own."""
    (folder / "events").mkdir(parents=True)
    (folder / "db").mkdir()
    command = [sys.executable, "-m", "twisted", "-n", f"--pidfile={folder / 'pid'}", f"--logfile={folder / 'log'}", "comet"]
    command[1:3] = ["-c", "import sys; from twisted.scripts.twistd import run; sys.argv[0] = 'twistd'; run()"]
    options = ["--verbose", "--local-ivo=ivo://comet.example/broker", f"--eventdb={folder / 'db'}", *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
    process = subprocess.Popen(
        [*command, *options], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)


def comet_sendvo(port: int, data: bytes) -> int:
    """Comet's author, and its exit status."""
    command = [str(Path(sys.executable).parent / "comet-sendvo"), "--host=127.0.0.1", f"--port={port}"]
    return subprocess.run(command, input=data, capture_output=True, timeout=PATIENCE, check=False).returncode
