"""A page of commands, followed as its readers do: every block in order, in a folder of its own, with windows that stay open."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.running import ROOT, wait_for

PORTS = ("8000", "9000")  # that pages name; free ones take their places


@dataclass(frozen=True, slots=True)
class Followed:
    """What each block of commands printed, by the block; and the ports that stood in for those of the page."""

    top: Path
    said: dict[str, str]
    ports: dict[str, str]
    services: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def answer(self, command: str) -> str:
        """What the block with a command printed, as one line."""
        (found,) = [text for block, text in self.said.items() if command in block]
        return " ".join(found.split())


@contextmanager
def followed(page: str, top: Path, work: str) -> Iterator[Followed]:
    """Follow ``docs/<page>`` in a clone's top level, as far as it is looked at; after the first block in the folder `work`."""
    text = (ROOT / "docs" / page).read_text("utf-8")
    _programs(top)
    environment = _environment(top, work)
    done = Followed(top, {}, {port: _free() for port in PORTS})
    where = top
    try:
        for language, written in re.findall(r"^```(sh|toml|python)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            block = re.sub("|".join(PORTS), lambda found: done.ports[found[0]], written)
            if language != "sh":
                (where / block.splitlines()[0].removeprefix("# ")).write_text(block)
            elif "in a window of its own" in block:
                _open(done, block, where, environment)
            else:
                shell = ["bash", "-e", "-c", block]
                ended = subprocess.run(shell, cwd=where, env=environment, capture_output=True, timeout=300, check=False)
                assert ended.returncode == 0, block + ended.stderr[-3000:].decode() + ended.stdout[-2000:].decode()
                done.said[written] = (ended.stdout + ended.stderr).decode()
                where = top / work
        yield done
    finally:
        for service in done.services:
            service.terminate()
            service.wait(30)


def _programs(top: Path) -> None:
    folder = top / ".venv" / "bin"
    folder.mkdir(parents=True)
    for name, command in (("nuncius", "-m broker"), ("python", "")):
        (folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {command} "$@"\n')
        (folder / name).chmod(0o755)


def _environment(top: Path, work: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NUNCIUS_") and name != "CI"}
    return kept | {"PYTHONPATH": str(ROOT), "NUNCIUS_DATA": str(top / work / "data")} | {
        "PATH": f"{top / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    }  # fmt: skip


def _free() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def _open(done: Followed, block: str, where: Path, environment: dict[str, str]) -> None:
    """Start the last line of a block, and wait until the port it names answers."""
    command = block.strip().splitlines()[-1].split()
    service = subprocess.Popen([str(done.top / ".venv" / "bin" / command[0]), *command[1:]], cwd=where, env=environment)
    done.services.append(service)
    named = [port for port in done.ports.values() if any(port in word for word in command)]
    for port in named:
        wait_for(lambda port=port: service.poll() is not None or _answers(int(port)), 60, f"nothing answers on port {port}")
    assert service.poll() is None, f"{command} has ended"


def _answers(port: int) -> bool:
    with closing(socket.socket()) as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0
