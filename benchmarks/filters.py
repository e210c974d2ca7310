"""The whole path with ten filters, with a thousand, and with hostile ones among them, in turns in the same run."""

from __future__ import annotations

import statistics
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from itertools import product
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
HEADS = ("packets /s", "ratio", "CPU ms a packet", "ratio")
BATCHES = {13: 40, 500: 8}
"""Sizes of the batches that are timed one by one, and how many of each."""
BATCH_HEADS = ("ms a batch", "ratio", "CPU ms", "ratio", "of it select, ms")


@dataclass(frozen=True, slots=True)
class Once:
    """One repeat: milliseconds by the clock and of processor time, of a packet on the path, or of a batch.

    Parameters
    ----------
    select
        Milliseconds of the step `select`.
    """

    clock: float
    cpu: float
    select: float


def run(folder: Path, services: Services, *, quick: bool) -> dict[str, Any]:
    """Every case on both engines; the sets of filters take turns, so that what else the machine does falls on all.

    Returns
    -------
    dict
        By case, engine or size of batch, and set: every repeat.
    """
    console = Console(width=150)
    paths: dict[tuple[str, str, str], list[Once]] = {}
    batches: dict[tuple[str, str, str], list[Once]] = {}
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("filters", total=len(CASES) * (len(ENGINES) * len(SETS) * REPEATS + len(BATCHES)))
        for case in CASES:
            packets = simulate(case, quick=quick)
            sets = {name: folder / f"{case.stream}-{at}" for at, name in enumerate(SETS)}
            for name, (count, more) in SETS.items():
                write_filters(sets[name], count, stream=case.stream, more=more)
            for size, count in BATCHES.items():
                bar.update(task, description=f"{case.name}, batches of {size}")
                for name, group in _batches(folder, case.stream, packets, sets, (size, count)).items():
                    batches[case.name, f"{size}", name] = group
                bar.advance(task)
            for repeat, engine, turn in product(range(REPEATS), ENGINES, range(len(sets))):
                # Whoever comes later finds the disk busy with what those before have written: each set is first once.
                name, filters = list(sets.items())[(turn + repeat) % len(sets)]
                bar.update(task, description=f"{case.name} on {engine}, {name} filters, {repeat + 1} of {REPEATS}")
                values = settings_of(services, engine, quick=quick) | {"filters": str(filters)}
                with open_parts(Settings(**values), folder / uuid.uuid4().hex) as parts:
                    paths.setdefault((case.name, engine, name), []).append(_path(parts, case.stream, packets))
                bar.advance(task)
    console.print(_batch_table(batches))
    console.print(_path_table(paths))
    return {" ".join(key): [asdict(once) for once in group] for key, group in (batches | paths).items()}


def _path(parts: Parts, stream: str, packets: Sequence[bytes]) -> Once:
    """Milliseconds a packet from log to log."""
    skip_to_end(parts, stream)
    append(parts, stream, packets[:WARM])  # filters are compiled here
    running.drain(parts, lambda _records: None)
    before = step_seconds()
    append(parts, stream, packets[WARM:])
    path = pace(lambda tell: running.drain(parts, tell))
    spent = step_seconds()["select"] - before["select"]
    return Once(1000 / path.rate, path.cpu, 1000 * spent / (len(packets) - WARM))


def _batches(
    folder: Path, stream: str, packets: Sequence[bytes], sets: Mapping[str, Path], shape: tuple[int, int]
) -> dict[str, list[Once]]:
    """Milliseconds of batches from their decoding until they are kept and ready to be published, by set.

    Parameters
    ----------
    shape
        Size of the batches, and how many there are.
    """
    size, count = shape
    found: dict[str, list[Once]] = {name: [] for name in sets}
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}
        for name, filters in sets.items():
            parts = stack.enter_context(open_parts(Settings(filters=str(filters)), folder / uuid.uuid4().hex))
            archive = stack.enter_context(closing(Archive(parts.archive_root, "bench")))
            workers[name] = stack.enter_context(Worker.of(parts, archive))
        for first in range(0, min((count + 2) * size, len(packets) - size), size):
            some = enumerate(packets[first : first + size], first)
            records = [Record(topics.raw(stream), 0, offset, 0, None, data) for offset, data in some]
            for name, worker in workers.items():
                before, clock, cpu = step_seconds().get("select", 0.0), time.perf_counter(), time.process_time()
                worker(stream, records)
                spent = time.perf_counter() - clock, time.process_time() - cpu, step_seconds()["select"] - before
                if first >= 2 * size:  # filters are compiled in the first
                    found[name].append(Once(*(1000 * each for each in spent)))
    return found


def _medians(group: Sequence[Once]) -> Once:
    return Once(*(statistics.median(getattr(once, key) for once in group) for key in ("clock", "cpu", "select")))


def _path_table(runs: Mapping[tuple[str, str, str], list[Once]]) -> Table:
    table = Table(title=f"The whole path by number of filters (medians of {REPEATS}; ratios to ten filters)")
    for name in ("packets", "engine", "filters"):
        table.add_column(name)
    for name in HEADS:
        table.add_column(name, justify="right")
    for key, group in runs.items():
        now, base = _medians(group), _medians(runs[*key[:2], next(iter(SETS))])
        table.add_row(
            *key, f"{1000 / now.clock:,.0f}", f"{base.clock / now.clock:.2f}", f"{now.cpu:.3f}", f"{now.cpu / base.cpu:.2f}"
        )
    return table


def _batch_table(runs: Mapping[tuple[str, str, str], list[Once]]) -> Table:
    table = Table(title="A batch by number of filters, without the log (medians; ratios to ten filters)")
    for name in ("packets", "batch of", "filters"):
        table.add_column(name)
    for name in BATCH_HEADS:
        table.add_column(name, justify="right")
    for key, group in runs.items():
        now, base = _medians(group), _medians(runs[*key[:2], next(iter(SETS))])
        table.add_row(
            *key,
            *(f"{now.clock:.1f}", f"{now.clock / base.clock:.2f}", f"{now.cpu:.1f}", f"{now.cpu / base.cpu:.2f}"),
            f"{now.select:.2f}",
        )
    return table
