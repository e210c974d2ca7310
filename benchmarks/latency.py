"""From an alert's append to its receipt by a read_committed reader, at a steady rate, `process` in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import uuid
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.services import Services
from broker import topics
from broker.record import Message, header
from broker.settings import load
from broker.wiring import simulating
from broker.wiring.parts import Parts, open_parts

RATE = 300
START = datetime(2026, 11, 20, 4, tzinfo=UTC)


def run(folder: Path, services: Services, *, quick: bool) -> dict[str, Any]:
    """Both engines."""
    console = Console()
    figures: dict[str, Any] = {}
    seconds = 5 if quick else 20
    table = Table("engine", "alerts", "p50 ms", "p95 ms", "p99 ms", "max ms", title=f"{RATE} ZTF packets of 76 kB a second")
    for engine in ("embedded", "kafka"):
        with console.status(f"latency on {engine}"):
            times = _measure(folder / f"latency-{engine}", services, engine, seconds)
        shown = [float(np.percentile(times, level)) for level in (50, 95, 99, 100)]
        table.add_row(engine, str(len(times)), *(f"{value:.0f}" for value in shown))
        figures[engine] = dict(zip(("p50", "p95", "p99", "max"), shown, strict=True))
    console.print(table)
    return figures


def _measure(data: Path, services: Services, engine: str, seconds: int) -> list[float]:
    data.mkdir(parents=True)
    log = f'engine = "kafka"\nbootstrap_servers = "{services.kafka}"\n' if engine == "kafka" else ""
    store = services.postgres if engine == "kafka" else ""
    (data / "nuncius.toml").write_text(
        f'[log]\n{log}partitions = 2\n[store]\nurl = "{store}"\n[process]\ngroup = "{uuid.uuid4().hex}"\n'
    )
    warm = 5 * RATE
    packets = list(simulating.packets("ztf", int(time.time()) % 100_000, warm + seconds * RATE, START))
    received: dict[str, float] = {}
    sent: dict[str, float] = {}
    stop = threading.Event()
    with open_parts(load(data / "nuncius.toml"), data) as parts:
        parts.log.append([Message(topics.raw("ztf"), packets[0].data)])
        reader = threading.Thread(target=_read, args=(parts, received, stop))
        reader.start()
        process = subprocess.Popen(
            [sys.executable, "-m", "broker", "--data", str(data), "process"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            while not received:
                time.sleep(0.05)
            begun = time.monotonic()
            for number, packet in enumerate(packets[1:]):
                time.sleep(max(0.0, begun + number / RATE - time.monotonic()))
                sent[f"ztf:{packet.name}"] = time.monotonic()
                parts.log.append([Message(topics.raw("ztf"), packet.data)])
            deadline = time.monotonic() + 30
            while not sent.keys() <= received.keys() and time.monotonic() < deadline:
                time.sleep(0.05)
        finally:
            stop.set()
            process.terminate()
            process.wait(30)
            reader.join()
    return [1000 * (received[f"ztf:{packet.name}"] - sent[f"ztf:{packet.name}"]) for packet in packets[warm:]]


def _read(parts: Parts, received: dict[str, float], stop: threading.Event) -> None:
    while topics.alerts("ztf") not in parts.log.topics() and not stop.is_set():
        time.sleep(0.05)
    with closing(parts.log.consumer(None, [topics.alerts("ztf")])) as consumer:
        while not stop.is_set():
            for record in consumer.poll(1000, 8 << 20, 0.2):
                received[header(record, topics.HEADER_ALERT_ID) or ""] = time.monotonic()
