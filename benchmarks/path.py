"""Packets a second through the whole path, beside a bare consume loop over the same topic."""

from __future__ import annotations

import statistics
import time
import uuid
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import confluent_kafka
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.services import Services
from broker import topics
from broker.record import Message
from broker.settings import Settings
from broker.telemetry import STEP_SECONDS
from broker.wiring import running, simulating
from broker.wiring.parts import Parts, open_parts

CASES = {
    "ZTF, 76 kB": ("ztf", 4000, {"cutouts": True}),
    "LSST, 9 kB": ("lsst", 12000, {"cutouts": False}),
    "LSST, 70 kB": ("lsst", 4000, {"cutouts": True}),
}
START = datetime(2026, 11, 21, 4, tzinfo=UTC)
WARM = 200


def run(folder: Path, services: Services, *, quick: bool) -> dict[str, Any]:
    """Every case on both engines."""
    console = Console(width=150)
    figures: dict[str, Any] = {}
    table = Table("case", "engine", "whole path /s", "bare loop /s", "ratio", "CPU s per 1000", "slowest steps")
    for case, (stream, count, options) in CASES.items():
        number = count // 10 if quick else count
        packets = [packet.data for packet in simulating.packets(stream, 3, WARM + 3 * number, START, **options)]
        for engine in ("embedded", "kafka"):
            runs = [
                _once(
                    folder, services, engine, stream, packets[:WARM], packets[WARM + turn * number : WARM + (turn + 1) * number]
                )
                for turn in track(range(1 if quick else 3), f"{case} on {engine}", console=console, transient=True)
            ]
            middle = sorted(runs, key=lambda one: one["path"])[len(runs) // 2]
            spread = f"{min(one['path'] for one in runs):,.0f} to {max(one['path'] for one in runs):,.0f}"
            bare = statistics.median(one["bare"] for one in runs)
            slowest = sorted(middle["steps"].items(), key=lambda item: -item[1])[:3]
            table.add_row(
                case, engine, f"{middle['path']:,.0f} ({spread})", f"{bare:,.0f}", f"{middle['path'] / bare:.2f}",
                f"{middle['cpu']:.2f}", ", ".join(f"{name} {seconds:.2f} s" for name, seconds in slowest),
            )  # fmt: skip
            figures[f"{case} {engine}"] = runs
    console.print(table)
    return figures


def _once(  # noqa: PLR0917
    folder: Path, services: Services, engine: str, stream: str, warm: list[bytes], packets: list[bytes]
) -> dict[str, Any]:
    data = folder / uuid.uuid4().hex
    # Topics are shared by all runs on one Kafka: a group that starts at their end sees its own packets only.
    values: dict[str, Any] = {"process": {"group": uuid.uuid4().hex, "max_records": 500}}
    if engine == "kafka":
        values |= {"log": {"engine": "kafka", "bootstrap_servers": services.kafka, "partitions": 2}}
        values |= {"store": {"url": _fresh(services.postgres)}}
    with open_parts(Settings(**values), data) as parts:
        _skip_to_end(parts, stream)
        _append(parts, stream, warm)
        running.drain(parts, lambda _records: None)
        before = _steps()
        _append(parts, stream, packets)
        # From the first batch to the last, so that joining the group and waiting for more are left out, as in the bare loop.
        done: list[tuple[float, float, int]] = []
        running.drain(parts, lambda records: done.append((time.perf_counter(), time.process_time(), records)))
        counted = sum(records for _, _, records in done[1:])
        seconds, cpu = (done[-1][clock] - done[0][clock] for clock in (0, 1))
        bare = _bare_kafka(services.kafka, stream, len(packets)) if engine == "kafka" else _bare_embedded(parts, stream)
        steps = {name: value - before.get(name, 0.0) for name, value in _steps().items()}
    return {"path": counted / seconds, "bare": bare, "cpu": cpu / counted * 1000, "steps": steps}


def _skip_to_end(parts: Parts, stream: str) -> None:
    name = topics.raw(stream)
    if name not in parts.log.topics():
        return
    ends = {place: end for place, (_, end) in parts.log.bounds(name).items()}
    with closing(parts.log.consumer(parts.settings.process.group, [topics.RAW_PATTERN], "latest")) as consumer:
        while not set(ends) <= set(consumer.assignment()):
            consumer.poll(1, 1, 0.2)
        consumer.commit(ends)


def _append(parts: Parts, stream: str, packets: list[bytes]) -> None:
    for first in range(0, len(packets), 500):
        parts.log.append([Message(topics.raw(stream), data) for data in packets[first : first + 500]])


def _bare_embedded(parts: Parts, stream: str) -> float:
    count = 0
    with closing(parts.log.consumer(None, [topics.raw(stream)])) as consumer:
        begun = time.perf_counter()
        while records := consumer.poll(2000, 64 << 20, 0.2):
            count += len(records)
            last = time.perf_counter()
    return count / (last - begun)


def _bare_kafka(bootstrap: str, stream: str, count: int) -> float:
    """The plain loop: consume, take the value, count; from the first record on, so that joining the group is left out."""
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": bootstrap, "group.id": uuid.uuid4().hex, "auto.offset.reset": "earliest"}
    )
    with closing(consumer):
        consumer.subscribe([topics.raw(stream)])
        got = 0
        while not (messages := consumer.consume(1, 1.0)):
            pass
        begun = last = time.perf_counter()
        while got < count and (messages := consumer.consume(1000, 2.0)):
            got += sum(message.value() is not None for message in messages)
            last = time.perf_counter()
    return got / (last - begun)


def _fresh(url: str) -> str:
    import psycopg  # noqa: PLC0415

    name = f"bench_{uuid.uuid4().hex[:10]}"
    with psycopg.connect(url.replace("postgresql+psycopg", "postgresql"), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return f"{url.rsplit('/', 1)[0]}/{name}"


def _steps() -> dict[str, float]:
    return {
        sample.labels["step"]: sample.value
        for metric in STEP_SECONDS.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    }


__all__ = ["run"]
