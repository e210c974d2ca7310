"""The whole path with ten filters, with a thousand, and with hostile ones among them, in turns in the same run."""

from __future__ import annotations

import statistics
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.many import HOSTILE, write_filters
from benchmarks.path import WARM, Case, append, pace, settings_of, simulate, skip_to_end, step_seconds
from benchmarks.services import Services
from broker import topics
from broker.record import Record
from broker.settings import Settings
from broker.store.archive import Archive
from broker.wiring import running
from broker.wiring.parts import Parts, open_parts
from broker.wiring.work import Worker

__all__ = ["run"]

CASES = (Case("ZTF, 76 kB", "ztf", 6000, cutouts=True), Case("LSST, 10 kB", "lsst", 12_000, cutouts=False, history=45))
ENGINES = ("kafka", "embedded")
SETS: Mapping[str, tuple[int, Sequence[str]]] = {
    "10": (10, ()),
    "1,000": (1000, ()),
    f"1,000 and {len(HOSTILE)} hostile": (1000, HOSTILE),
}
REPEATS = 3
SMALL, BATCHES = 13, 25  # alerts in the small batches whose time is taken, and how many of them
HEADS = ("packets /s", "ratio", "CPU ms", "ratio", f"{SMALL} packets, ms", "ratio", "select, µs a packet")


@dataclass(frozen=True, slots=True)
class Once:
    """One repeat.

    Parameters
    ----------
    rate, cpu
        Packets a second by the clock, and milliseconds of processor time a packet.
    small
        Milliseconds of a small batch, from its decoding until it is kept and ready to be published; median.
    select
        Microseconds of the step `select`, a packet.
    """

    rate: float
    cpu: float
    small: float
    select: float


def run(folder: Path, services: Services, *, quick: bool) -> dict[str, Any]:
    """Every case on both engines; the sets of filters take turns, so that what else the machine does falls on all.

    Returns
    -------
    dict
        By case, engine and set: every repeat.
    """
    console = Console(width=170)
    runs: dict[tuple[str, str, str], list[Once]] = {}
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("filters", total=len(CASES) * len(ENGINES) * len(SETS) * REPEATS)
        for case in CASES:
            packets = simulate(case, quick=quick)
            sets = {name: folder / f"{case.stream}-{at}" for at, name in enumerate(SETS)}
            for name, (count, more) in SETS.items():
                write_filters(sets[name], count, stream=case.stream, more=more)
            for repeat in range(REPEATS):
                for engine in ENGINES:
                    for name, filters in sets.items():
                        bar.update(task, description=f"{case.name} on {engine}, {name} filters, {repeat + 1} of {REPEATS}")
                        values = settings_of(services, engine, quick=quick) | {"filters": str(filters)}
                        with open_parts(Settings(**values), folder / uuid.uuid4().hex) as parts:
                            runs.setdefault((case.name, engine, name), []).append(_once(parts, case.stream, packets))
                        bar.advance(task)
    console.print(_table(runs))
    return {" ".join(key): [asdict(once) for once in group] for key, group in runs.items()}


def _once(parts: Parts, stream: str, packets: Sequence[bytes]) -> Once:
    held = SMALL * BATCHES
    skip_to_end(parts, stream)
    append(parts, stream, packets[:WARM])  # filters are compiled here
    running.drain(parts, lambda _records: None)
    before = step_seconds()
    append(parts, stream, packets[WARM:-held])
    path = pace(lambda tell: running.drain(parts, tell))
    spent = step_seconds()["select"] - before["select"]
    return Once(path.rate, path.cpu, _small(parts, stream, packets[-held:]), 1e6 * spent / (len(packets) - held - WARM))


def _small(parts: Parts, stream: str, packets: Sequence[bytes]) -> float:
    """Milliseconds of a small batch, the log left out."""
    times = []
    topic = topics.raw(stream)
    with closing(Archive(parts.archive_root, "bench")) as archive, Worker.of(parts, archive) as worker:
        for first in range(0, len(packets), SMALL):
            records = [Record(topic, 7, first + at, 0, None, data) for at, data in enumerate(packets[first : first + SMALL])]
            began = time.perf_counter()
            worker(stream, records)
            times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times[1:])


def _table(runs: Mapping[tuple[str, str, str], list[Once]]) -> Table:
    table = Table(title="The whole path by number of filters (medians of three; ratios to ten filters)")
    for name in ("packets", "engine", "filters"):
        table.add_column(name)
    for name in HEADS:
        table.add_column(name, justify="right")
    base = Once(1.0, 1.0, 1.0, 1.0)
    for (case, engine, name), group in runs.items():
        middle = Once(*(statistics.median(getattr(once, key) for once in group) for key in ("rate", "cpu", "small", "select")))
        if name == next(iter(SETS)):
            base = middle
        table.add_row(
            *(case, engine, name),
            *(f"{middle.rate:,.0f}", f"{middle.rate / base.rate:.2f}", f"{middle.cpu:.3f}", f"{middle.cpu / base.cpu:.2f}"),
            *(f"{middle.small:.1f}", f"{middle.small / base.small:.2f}", f"{middle.select:.1f}"),
        )
    return table
