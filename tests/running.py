"""Nuncius as its users run it: as processes of the command line, on either engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Installation:
    """A data folder with its settings file."""

    data: Path
    kafka: str = ""

    @property
    def config(self) -> Path:
        return self.data / "nuncius.toml"

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "broker", "--data", str(self.data), *arguments]

    def run(self, *arguments: str, status: int = 0) -> str:
        done = subprocess.run(self.command(*arguments), cwd=ROOT, capture_output=True, timeout=240, check=False)
        assert done.returncode == status, (str(done.returncode).encode() + done.stderr[-1500:] + done.stdout[-1500:]).decode()
        return done.stdout.decode()

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments))

    @contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        log = (self.data / f"{arguments[0]}-{uuid.uuid4().hex[:6]}.log").open("wb")
        process = subprocess.Popen(self.command(*arguments), cwd=ROOT, stdout=log, stderr=log, env=os.environ.copy())
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(30)
            log.close()


def install(
    data: Path, *, kafka: str = "", store: str = "", more: str = "", properties: Mapping[str, object] = MappingProxyType({})
) -> Installation:
    """Write settings: small batches, short take-overs; a group of its own, so that tests can share a Kafka."""
    data.mkdir(parents=True, exist_ok=True)
    log = f'engine = "kafka"\nbootstrap_servers = "{kafka}"\n' if kafka else 'engine = "embedded"\n'
    timeouts = {"session.timeout.ms": 6000, "heartbeat.interval.ms": 1000} if kafka else {}
    lines = "".join(f"{json.dumps(name)} = {json.dumps(value)}\n" for name, value in {**timeouts, **properties}.items())
    (data / "nuncius.toml").write_text(
        f"[log]\n{log}partitions = 2\n\n[log.properties]\n{lines}\n"
        f'[store]\nurl = "{store}"\n\n[process]\ngroup = "process-{uuid.uuid4().hex[:8]}"\nmax_records = 40\n\n{more}\n'
    )
    return Installation(data, kafka)


def wait_for(what: Callable[[], bool], seconds: float, message: str) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, message
        time.sleep(0.05)
