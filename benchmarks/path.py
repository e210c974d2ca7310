"""Packets a second through the whole path, beside a bare consume loop over the same packets in the same run."""

from __future__ import annotations

import os
import statistics
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import confluent_kafka
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.services import Services, fresh_database
from broker import topics
from broker.record import Message, TopicPartition
from broker.settings import Settings
from broker.telemetry import STEP_SECONDS
from broker.wiring import running, simulating
from broker.wiring.parts import Parts, open_parts

__all__ = ["WARM", "Case", "append", "pace", "run", "settings_of", "simulate", "skip_to_end", "step_seconds"]


@dataclass(frozen=True, slots=True)
class Case:
    """So many packets of a stream."""

    name: str
    stream: str
    count: int
    cutouts: bool
    history: int = 35


CASES = (
    Case("ZTF, 76 kB", "ztf", 8000, cutouts=True),
    Case("LSST, 10 kB", "lsst", 20_000, cutouts=False, history=45),
    Case("LSST, 70 kB", "lsst", 8000, cutouts=True),
)
ENGINES = ("kafka", "embedded")
START = datetime(2026, 11, 21, 4, tzinfo=UTC)
WARM = 500
QUICK_BATCH = 200
CHUNK = 64 << 20
HEADS = (
    *("kB", "path /s", "CPU ms", "plain loop /s", "ratio", "tuned loop /s", "ratio", "CPU ms"),
    *("own poll /s", "disk /s", "ratio"),
)
TUNED: Mapping[str, object] = {"fetch.queue.backoff.ms": 5}


@dataclass(frozen=True, slots=True)
class Pace:
    """Packets a second by the clock, and milliseconds of processor time a packet (all threads of the measuring process)."""

    rate: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Once:
    """One repeat.

    Parameters
    ----------
    path
        The whole path.
    poll
        Our own consumer of that engine, and nothing behind it.
    plain, tuned
        confluent-kafka's loop as it comes, and with the one property that keeps it from pausing a second each time its queue
        is full; on Kafka only.
    disk
        Packets a second of a loop that only writes the bytes to a file and waits for the disk every 64 MiB.
    steps
        Milliseconds a packet by step; archive, frames, database and encode overlap.
    """

    path: Pace
    poll: Pace
    plain: Pace | None
    tuned: Pace | None
    disk: float
    steps: Mapping[str, float]


def run(folder: Path, services: Services, *, quick: bool) -> dict[str, Any]:
    """Every case on both engines; a table of rates and one of steps.

    Returns
    -------
    dict
        By case and engine: every repeat.
    """
    console = Console(width=170)
    repeats = 1 if quick else 3
    runs: dict[tuple[str, str], list[Once]] = {}
    size: dict[str, float] = {}
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("path", total=len(CASES) * len(ENGINES) * repeats)
        for case in CASES:
            bar.update(task, description=f"{case.name}: simulating")
            packets = simulate(case, quick=quick)
            size[case.name] = statistics.fmean(map(len, packets)) / 1000
            # The engines take turns, so that what else the machine does falls on both.
            for repeat in range(repeats):
                for engine in ENGINES:
                    bar.update(task, description=f"{case.name} on {engine}, {repeat + 1} of {repeats}")
                    once = _once(folder, services, engine, case.stream, packets, quick=quick)
                    runs.setdefault((case.name, engine), []).append(once)
                    bar.advance(task)
    console.print(_rates(runs, size))
    console.print(_steps_table(runs))
    return {f"{case} {engine}": [asdict(once) for once in group] for (case, engine), group in runs.items()}


def simulate(case: Case, *, quick: bool) -> list[bytes]:
    """The packets of a case, those for warming up among them."""
    count = WARM + (case.count // 5 if quick else case.count)
    made = simulating.packets(case.stream, 3, count, START, cutouts=case.cutouts, history=case.history)
    return [packet.data for packet in made]


def _rates(runs: Mapping[tuple[str, str], list[Once]], size: Mapping[str, float]) -> Table:
    table = Table(title="The whole path beside bare confluent-kafka consume loops (medians; range of the repeats)")
    table.add_column("packets")
    table.add_column("engine")
    for name in HEADS:
        table.add_column(name, justify="right")
    for (case, engine), group in runs.items():
        rates = [once.path.rate for once in group]
        path, cpu = statistics.median(rates), statistics.median(once.path.cpu for once in group)
        # The embedded log is held against Kafka's loops too, with the same packets in the same run.
        beside = runs[case, "kafka"]
        plain = statistics.median(once.plain.rate for once in beside if once.plain)
        tuned = statistics.median(once.tuned.rate for once in beside if once.tuned)
        tuned_cpu = statistics.median(once.tuned.cpu for once in beside if once.tuned)
        cells = [f"{size[case]:.1f}", f"{path:,.0f} ({min(rates):,.0f} to {max(rates):,.0f})", f"{cpu:.3f}"]
        cells += [f"{plain:,.0f}", f"{path / plain:.2f}", f"{tuned:,.0f}", f"{path / tuned:.2f}", f"{tuned_cpu:.3f}"]
        disk = statistics.median(once.disk for once in group)
        cells += [f"{statistics.median(once.poll.rate for once in group):,.0f}", f"{disk:,.0f}", f"{path / disk:.2f}"]
        table.add_row(case, engine, *cells)
    return table


def _steps_table(runs: Mapping[tuple[str, str], list[Once]]) -> Table:
    table = Table(title="Microseconds a packet by step, slowest first (medians)")
    table.add_column("packets")
    table.add_column("engine")
    table.add_column("steps; the rest is polling, headers, counting")
    for (case, engine), group in runs.items():
        middle = {name: statistics.median(once.steps.get(name, 0.0) for once in group) for name in group[0].steps}
        ordered = sorted(middle.items(), key=lambda item: -item[1])
        table.add_row(case, engine, ", ".join(f"{name} {1000 * value:.0f}" for name, value in ordered))
    return table


def _once(folder: Path, services: Services, engine: str, stream: str, packets: Sequence[bytes], *, quick: bool) -> Once:
    values = settings_of(services, engine, quick=quick)
    with open_parts(Settings(**values), folder / uuid.uuid4().hex) as parts:
        skip_to_end(parts, stream)
        append(parts, stream, packets[:WARM])
        running.drain(parts, lambda _records: None)
        begin, before = _ends(parts, stream), step_seconds()
        append(parts, stream, packets[WARM:])
        path = pace(lambda tell: running.drain(parts, tell))
        count = len(packets) - WARM
        steps = {name: 1000 * (value - before.get(name, 0.0)) / count for name, value in step_seconds().items()}
        poll = pace(lambda tell: _poll(parts, begin, count, tell))
        plain = tuned = None
        if engine == "kafka":
            plain = pace(lambda tell: _bare(services.kafka, begin, count, tell, {}))
            tuned = pace(lambda tell: _bare(services.kafka, begin, count, tell, TUNED))
    return Once(path, poll, plain, tuned, _disk(folder, packets[WARM:]), steps)


def settings_of(services: Services, engine: str, *, quick: bool) -> dict[str, Any]:
    """Settings of a run on its own: a group and a database that nobody has used."""
    # Topics are shared by all runs on one Kafka: a group that starts at their end sees its own packets only.
    process: dict[str, Any] = {"group": uuid.uuid4().hex} | ({"max_records": QUICK_BATCH} if quick else {})
    values: dict[str, Any] = {"process": process}
    if engine == "kafka":
        values |= {"log": {"engine": "kafka", "bootstrap_servers": services.kafka, "partitions": 2}}
        values |= {"store": {"url": fresh_database(services.postgres)}}
    return values


def pace(work: Callable[[Callable[[int], None]], None]) -> Pace:
    """Pace from the end of the first batch on: joining a group and waiting for the first records is no work."""
    told: list[tuple[float, float, int]] = []
    work(lambda records: told.append((time.perf_counter(), time.process_time(), records)))
    count = sum(records for _, _, records in told[1:])
    return Pace(count / (told[-1][0] - told[0][0]), 1000 * (told[-1][1] - told[0][1]) / count)


def skip_to_end(parts: Parts, stream: str) -> None:
    """Have the group begin with what comes from now on."""
    if topics.raw(stream) not in parts.log.topics():
        return
    ends = _ends(parts, stream)
    with closing(parts.log.consumer(parts.settings.process.group, [topics.RAW_PATTERN], "latest")) as consumer:
        while not ends.keys() <= consumer.assignment():
            consumer.poll(1, 1, 0.2)
        consumer.commit(ends)


def _ends(parts: Parts, stream: str) -> dict[TopicPartition, int]:
    return {place: end for place, (_, end) in parts.log.bounds(topics.raw(stream)).items()}


def append(parts: Parts, stream: str, packets: Sequence[bytes]) -> None:
    """Put packets into the stream's topic."""
    for first in range(0, len(packets), 500):
        parts.log.append([Message(topics.raw(stream), data) for data in packets[first : first + 500]])


def _poll(parts: Parts, begin: Mapping[TopicPartition, int], count: int, tell: Callable[[int], None]) -> None:
    """Our own consumer with nothing behind it."""
    with closing(parts.log.consumer(None, sorted({place.topic for place in begin}))) as consumer:
        for place, offset in begin.items():
            consumer.seek(place, offset)
        while count > 0:
            records = consumer.poll(500, 64 << 20, 1.0)
            count -= len(records)
            if records:
                tell(len(records))


def _bare(
    bootstrap: str, begin: Mapping[TopicPartition, int], count: int, tell: Callable[[int], None], tuned: Mapping[str, object]
) -> None:
    """The plain loop over the same records: consume, take the value."""
    consumer = confluent_kafka.Consumer({"bootstrap.servers": bootstrap, "group.id": uuid.uuid4().hex, **tuned})
    most = 1
    with closing(consumer):
        consumer.assign([confluent_kafka.TopicPartition(topic, number, at) for (topic, number), at in begin.items()])
        while count > 0:
            got = sum(message.value() is not None for message in consumer.consume(min(most, count), 1.0))
            count -= got
            if got:
                tell(got)
                most = 500  # the clock runs from the first record on


def _disk(folder: Path, packets: Sequence[bytes]) -> float:
    """The archive's own limit on this disk: the same bytes, joined and written, nothing else."""
    began, waiting, size = time.perf_counter(), list[bytes](), 0
    with (folder / f"limit-{uuid.uuid4().hex}").open("wb", buffering=0) as file:
        for number, packet in enumerate(packets, 1):
            waiting.append(packet)
            size += len(packet)
            if size >= CHUNK or number == len(packets):
                file.write(b"".join(waiting))
                os.fdatasync(file.fileno())
                waiting, size = [], 0
    return len(packets) / (time.perf_counter() - began)


def step_seconds() -> dict[str, float]:
    """Seconds spent so far by step."""
    samples = (sample for metric in STEP_SECONDS.collect() for sample in metric.samples)
    return {sample.labels["step"]: sample.value for sample in samples if sample.name.endswith("_total")}
