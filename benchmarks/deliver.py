"""From receipt to acknowledgement on each channel at a steady rate, beside what `process` alone needs, in the same run."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.channels import CHANNELS, EVERYTHING, SOME, Channel, Site, matched_records, running
from benchmarks.services import Services, free_port, fresh_database
from broker import topics
from broker.record import Message
from broker.settings import load
from broker.wiring import simulating
from broker.wiring.parts import Parts, open_parts

__all__ = ["run"]

RATE = 300
SECONDS = 20
START = datetime(2026, 11, 21, 4, tzinfo=UTC)
PATIENCE = 60.0  # seconds that what was sent last may take
FILTERS = {EVERYTHING: "ra IS NOT NULL", SOME: "candidate.rcid = 7"}
TOGETHER = "all at once"
HEADS = ("alerts", "lost", "p50 ms", "p99 ms", "record p50", "record p99", "ratio p50", "ratio p99")

Times = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Measured:
    """Milliseconds from receipt, and how many alerts came.

    Parameters
    ----------
    sent
        Alerts that the channel's filter picked.
    came
        Of them, those that were acknowledged.
    record_p50, record_p99
        Until the ``matched.*`` record of the same alerts could be read, in the same seconds.
    """

    sent: int
    came: int
    p50: float
    p99: float
    record_p50: float
    record_p99: float


def run(folder: Path, services: Services, *, quick: bool) -> dict[str, Any]:
    """Each channel alone, then all at once.

    Returns
    -------
    dict
        By what ran and channel.
    """
    console = Console(width=130)
    seconds = 5 if quick else SECONDS
    site = _site(folder / "deliver", services)
    runs: dict[str, tuple[Channel, ...]] = {"process alone": ()} | {one.name: (one,) for one in CHANNELS}
    if not quick:
        runs[TOGETHER] = CHANNELS
    found: dict[str, dict[str, Measured]] = {}
    with Progress(console=console, transient=True) as bar, open_parts(load(site.data / "nuncius.toml"), site.data) as parts:
        task = bar.add_task("deliver", total=len(runs))
        with running(site, "process"), matched_records(site) as records:
            for number, (name, channels) in enumerate(runs.items()):
                bar.update(task, description=f"{name}: simulating")
                feed = _Feed(parts, number, (seconds + 15) * RATE)
                bar.update(task, description=name)
                found[name] = _measure(site, feed, records, channels, seconds)
                bar.advance(task)
    console.print(_table(found))
    return {name: {channel: asdict(one) for channel, one in group.items()} for name, group in found.items()}


def _site(data: Path, services: Services) -> Site:
    (data / "filters").mkdir(parents=True)
    for name, where in FILTERS.items():
        text = f'name = "{name}"\nversion = 1\nstream = "ztf"\ndescription = "For measuring"\nwhere = "{where}"\n'
        (data / "filters" / f"{name}.toml").write_text(text)
    site = Site(data, services.kafka, free_port(), free_port())
    (data / "nuncius.toml").write_text(
        f'filters = "filters"\n[log]\nengine = "kafka"\nbootstrap_servers = "{services.kafka}"\npartitions = 2\n'
        f'[store]\nurl = "{fresh_database(services.postgres)}"\n[process]\ngroup = "{uuid.uuid4().hex}"\n'
        f"[backtest]\nmost_share = 1.0\n"
        f'[deliver]\nallow = ["127.0.0.0/8"]\napi = "{site.api}"\ngroup = "{uuid.uuid4().hex}"\n'
        f'[vtp]\nsubscriber_port = {site.vtp_port}\nevents = false\ntest_events = true\nfilters = ["{EVERYTHING}"]\n'
        f"unacknowledged = 100000\n"
    )
    return site


class _Feed:
    """Packets that nobody has seen before, sent one at a time."""

    def __init__(self, parts: Parts, number: int, count: int) -> None:
        self._parts = parts
        start = START + timedelta(hours=12 * number)
        self._packets = iter(list(simulating.packets("ztf", int(time.time()) % 100_000, count, start)))
        self.sent: dict[str, float] = {}

    def send(self) -> None:
        """One more."""
        packet = next(self._packets)
        self.sent[f"ztf:{packet.name}"] = time.monotonic()
        self._parts.log.append([Message(topics.raw("ztf"), packet.data)])

    def steadily(self, seconds: float) -> list[str]:
        """So many seconds at the rate; the alerts sent."""
        before, begun = len(self.sent), time.monotonic()
        for number in range(round(seconds * RATE)):
            time.sleep(max(0.0, begun + number / RATE - time.monotonic()))
            self.send()
        return list(self.sent)[before:]


def _measure(
    site: Site, feed: _Feed, records: Mapping[str, Times], channels: Sequence[Channel], seconds: int
) -> dict[str, Measured]:
    with ExitStack() as stack:
        for verb in sorted({verb for one in channels for verb in one.parts}):
            stack.enter_context(running(site, verb))
        times: dict[str, Times] = {one.name: stack.enter_context(one.open(site)) for one in channels}
        _begin(feed, [records[EVERYTHING], *times.values()])
        feed.steadily(2)  # caches fill, connections open
        measured = feed.steadily(seconds)
        _until(lambda: records[EVERYTHING].keys() >= set(measured))
        picked = {name: [alert for alert in measured if alert in there] for name, there in records.items()}
        _until(lambda: all(times[one.name].keys() >= set(picked[one.filter]) for one in channels))
        limit = _milliseconds(feed.sent, records[EVERYTHING], measured)
        found = {"record": Measured(len(measured), len(limit), *_levels(limit), *_levels(limit))}
        for one in channels:
            names = picked[one.filter]
            told, record = (_milliseconds(feed.sent, when, names) for when in (times[one.name], records[one.filter]))
            found[one.name] = Measured(len(names), len(told), *_levels(told), *_levels(record))
        return found


def _begin(feed: _Feed, receivers: Sequence[Times]) -> None:
    """Send now and then until every channel has been heard of; then wait until all is quiet."""
    begun = [len(one) for one in receivers]
    deadline = time.monotonic() + 2 * PATIENCE
    while any(len(one) == before for one, before in zip(receivers, begun, strict=True)):
        if time.monotonic() > deadline:
            heard = [len(one) - before for one, before in zip(receivers, begun, strict=True)]
            raise TimeoutError(f"nothing came through a channel: {heard}")
        for _ in range(25):
            feed.send()
        time.sleep(1.0)
    time.sleep(3.0)


def _until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not done() and time.monotonic() < deadline:
        time.sleep(0.1)


def _milliseconds(sent: Times, times: Times, names: Sequence[str]) -> list[float]:
    return [1000 * (times[name] - sent[name]) for name in names if name in times]


def _levels(times: Sequence[float]) -> tuple[float, float]:
    if not times:
        return float("nan"), float("nan")
    return float(np.percentile(times, 50)), float(np.percentile(times, 99))


def _table(found: Mapping[str, Mapping[str, Measured]]) -> Table:
    table = Table(title=f"{RATE} ZTF packets of 76 kB a second: receipt to acknowledgement (ratios to the matched.* record)")
    for name in ("runs", "until"):
        table.add_column(name)
    for name in HEADS:
        table.add_column(name, justify="right")
    for name, group in found.items():
        for channel, one in group.items():
            if channel == "record" and len(group) > 1:
                continue  # each channel's row has it
            cells = [f"{one.sent:,}", f"{one.sent - one.came:,}"]
            cells += [f"{value:.0f}" for value in (one.p50, one.p99, one.record_p50, one.record_p99)]
            cells += [f"{one.p50 / one.record_p50:.2f}", f"{one.p99 / one.record_p99:.2f}"]
            table.add_row(name, channel, *cells)
    return table
