"""From a gravitational-wave notice on the wire to its readers, with a million recent alerts to hold its map against."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from benchmarks.services import Services
from broker import topics
from broker.alert import Batch, conform
from broker.record import Message, Record, header
from broker.science.sky import radec_to_hpx
from broker.settings import Settings
from broker.simulate import lvk
from broker.store import alerts, associations, columns
from broker.store.archive import Address
from broker.store.engine import connection, transaction
from broker.wiring import running
from broker.wiring.parts import Parts, open_parts

SEGMENT = 50_000  # rows of a file, as merging leaves them
DAYS = 6
FILTER = """
name = "followup"
version = 1
stream = "*"
description = "Bright alerts in gravitational-wave maps."
where = "gw.credible_level <= 0.9 AND mag < 19 AND candidate.drb > 0.5"
select = ["gw.credible_level", "mag", "candidate.drb"]
"""
PATIENCE = 120.0


def run(folder: Path, services: Services, *, quick: bool) -> dict[str, Any]:
    """Both databases; the log is the embedded one."""
    console = Console()
    count = 100_000 if quick else 1_000_000
    table = Table(
        "database", "notice", "inside", "told", "`events` ms", "first match ms", "last match ms", "process ms",
        title=f"a notice against {count:,} recent alerts",
    )  # fmt: skip
    figures: dict[str, Any] = {}
    for name, url in (("sqlite", ""), ("postgresql", services.postgres)):
        with console.status(f"associations on {name}"):
            rows = _measure(folder / f"associations-{name}", url, count)
        for row in rows:
            table.add_row(name, *(value if isinstance(value, str) else f"{value:,.0f}" for value in row.values()))
        figures[name] = rows
    console.print(table)
    return figures


def _measure(data: Path, url: str, count: int) -> list[dict[str, Any]]:
    (data / "filters").mkdir(parents=True)
    (data / "filters" / "followup.toml").write_text(FILTER)
    settings = Settings.model_validate({"filters": "filters", "store": {"url": url}, "log": {"partitions": 1}})
    now = datetime.now(UTC)
    with open_parts(settings, data) as parts:
        _fill(parts, now, count)
        stop, heard = threading.Event(), _Heard()
        threads = [
            threading.Thread(target=running.process, args=(parts, stop)),
            threading.Thread(target=_listen, args=(parts, stop, heard)),
        ]
        for thread in threads:
            thread.start()
        try:
            _tell(parts, heard, _event(99, now))  # compiled code is loaded, files are known
            event = _event(1, now)
            return [_tell(parts, heard, event, number) for number in (0, 1, 3)] + [_tell(parts, heard, event, 4)]
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def _event(seed: int, now: datetime) -> lvk.Event:
    rng = np.random.default_rng(seed)
    return lvk.make_event(rng, now - timedelta(days=DAYS, hours=seed), place=(120.0 + seed, 20.0), width=0.9, length=5.0)


def _fill(parts: Parts, now: datetime, count: int) -> None:
    """Alerts of some nights in frames and database, as many processes would have left them."""
    rng = np.random.default_rng(1)
    for first in range(0, count, SEGMENT):
        size = min(SEGMENT, count - first)
        ra, dec = rng.uniform(0, 360, size), np.degrees(np.arcsin(rng.uniform(-0.5, 1, size)))
        ids = np.arange(first, first + size) + 2_400_000_000_000_000_000
        days = DAYS * (1 - (first + np.arange(size)) / count)
        frame = conform(
            pl.DataFrame(
                {
                    "alert_id": [f"ztf:{number}" for number in ids],
                    "stream": "ztf",
                    "object_id": [f"ZTF26{number:09d}" for number in rng.integers(0, 10**9, size)],
                    "time": pl.Series(now.timestamp() * 1e6 - days * 86400e6).cast(pl.Int64).cast(pl.Datetime("us", "UTC")),
                    "ra": ra,
                    "dec": dec,
                    "hpx": radec_to_hpx(ra, dec),
                    "mag": rng.uniform(16, 21, size),
                    "mag_err": rng.uniform(0.01, 0.2, size),
                    "band": rng.choice(["g", "r"], size),
                    "reliability": rng.uniform(0, 1, size),
                    "positive": rng.random(size) < 0.6,
                    "candidate.drb": rng.uniform(0, 1, size),
                    "lightcurve.rate": rng.normal(0, 1, size),
                    "_record": pl.int_range(size, dtype=pl.UInt32, eager=True),
                    "_unit": pl.zeros(size, pl.UInt32, eager=True),
                }
            )
        )
        stamps = (now.timestamp() - days * 86400 + 60) * 1000
        records = tuple(Record("raw.ztf", 0, first + i, int(stamp), None, b"") for i, stamp in enumerate(stamps))
        addresses = [Address("ztf/none.avro", 70_000 * i, 70_000) for i in range(size)]
        columns.write_segment(parts.frames, Batch("ztf", records, frame, size), addresses, durable=False)
        with transaction(parts.store) as conn:
            alerts.write(conn, frame, records, addresses)


class _Heard:
    """When what was heard of the notice just sent."""

    def __init__(self) -> None:
        self.events: list[float] = []
        self.matches: list[float] = []


def _listen(parts: Parts, stop: threading.Event, heard: _Heard) -> None:
    with closing(parts.log.consumer(None, [topics.EVENTS, topics.matched("followup")])) as consumer:
        while not stop.is_set():
            records = consumer.poll(100_000, 256 << 20, 0.02)
            moment = time.monotonic()
            for record in records:
                (heard.events if record.topic == topics.EVENTS else heard.matches).append(moment)
                assert header(record, topics.HEADER_EVENT)


def _tell(parts: Parts, heard: _Heard, event: lvk.Event, number: int = 0) -> dict[str, Any]:
    notice = list(lvk.notices(event, retract=True))[number]
    heard.events.clear()
    heard.matches.clear()
    sent = time.monotonic()
    parts.log.append([Message(topics.raw("lvk"), notice.data)])
    while not heard.events and time.monotonic() < sent + PATIENCE:
        time.sleep(0.002)
    published = time.monotonic()
    quiet = 0
    while quiet < 3:  # all of a batch appears at once; reading it takes a moment
        seen = len(heard.matches)
        time.sleep(0.3)
        quiet = quiet + 1 if len(heard.matches) == seen else 0
    with connection(parts.store) as conn:
        inside = associations.of_event(conn, event.name).filter(pl.col("state") == "live").height
    times = [1000 * (moment - sent) for moment in heard.matches] or [float("nan")]
    return {
        "notice": notice.name.rsplit("-", 1)[1],
        "inside": inside,
        "told": len(heard.matches),
        "events": 1000 * (heard.events[0] - sent),
        "first match": min(times),
        "last match": max(times),
        "process": 1000 * (published - sent),
    }
