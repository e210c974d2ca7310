"""What a filter would have picked of the alerts kept, each held against what was known when it came.

It asks the very evaluator that live filters are asked by, of the columns as the steps made them then; maps that came or changed
later are played again in their order. So it finds, alert for alert, what the filter would have found had it been live.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

import polars as pl

from broker.alert import COMMON
from broker.errors import RefusedError
from broker.filtering.definition import FilterSpec
from broker.settings import Settings
from broker.store import matches
from broker.wiring.backtest_maps import reads_maps, rescored
from broker.wiring.backtest_rows import Faults, Reader, mask
from broker.wiring.parts import Parts

__all__ = ["Backtest", "Night", "Sample", "Share", "backtest", "expected_share", "refuse"]

SAMPLE: Final = 20_000
"""Alerts looked at for a filter's share before it goes live; where their packets have to be read, fewer."""
SAMPLE_PACKETS: Final = 2_000
FEWEST: Final = 100
"""Fewer alerts say nothing of a share."""
CARDS: Final = 12
BIN: Final = 0.5
"""Width of the histogram's bins, magnitudes."""

OnProgress = Callable[[int, int], None]
"""Told how much of how much is done."""

_SHOWN: Final = ("alert_id", "object_id", "stream", "time", "ra", "dec", "mag", "band")


@dataclass(frozen=True, slots=True)
class Night:
    """A night's alerts that the filter was asked about, and those it picked."""

    night: str
    evaluated: int
    matched: int


@dataclass(frozen=True, slots=True)
class Bin:
    """Alerts picked from one magnitude up to another."""

    low: float
    high: float
    matched: int


@dataclass(frozen=True, slots=True)
class Sample:
    """An alert picked.

    Parameters
    ----------
    ra, dec
        Degrees, ICRS.
    link
        Its page.
    """

    alert_id: str
    object_id: str | None
    stream: str
    time: datetime | None
    ra: float | None
    dec: float | None
    mag: float | None
    band: str | None
    link: str


@dataclass(frozen=True, slots=True)
class Share:
    """How many of some alerts a filter picks."""

    evaluated: int
    matched: int

    @property
    def share(self) -> float:
        """Between 0 and 1; 0 where there are no alerts."""
        return self.matched / self.evaluated if self.evaluated else 0.0


@dataclass(frozen=True, slots=True)
class Backtest:
    """What a filter would have done.

    Parameters
    ----------
    since, until
        The window of the alerts' time, half open; ``None`` where it has no such edge.
    share
        Picked of those asked about, 0 to 1.
    per_night
        Alerts picked in a night that has alerts, on average.
    nights
        Each of them; from noon to noon, UTC.
    magnitudes
        Of those picked.
    overlap
        How many of them other live filters picked too, by name; those with any.
    samples
        Some of them, spread evenly.
    warnings
        What keeps this from being what a live filter would have found.
    matches
        Ids of those picked, by time and id.
    """

    filter: str
    version: int
    since: datetime | None
    until: datetime | None
    evaluated: int
    matched: int
    share: float
    per_night: float
    nights: tuple[Night, ...]
    magnitudes: tuple[Bin, ...]
    overlap: Mapping[str, int]
    samples: tuple[Sample, ...]
    warnings: tuple[str, ...]
    matches: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


@dataclass(slots=True)
class _Tally:
    """What has been found so far."""

    evaluated: Counter[str] = field(default_factory=Counter)
    picked: list[pl.DataFrame] = field(default_factory=list)
    faults: Faults = field(default_factory=Counter)

    def add(self, rows: pl.DataFrame) -> None:
        if not rows.is_empty():
            self.picked.append(rows.select(*COMMON, "nuncius.received"))

    def rows(self) -> pl.DataFrame:
        if not self.picked:
            return pl.DataFrame(schema={**COMMON, "nuncius.received": pl.Datetime("us", "UTC")})
        return pl.concat(self.picked).sort("time", "alert_id", nulls_last=True)


def backtest(
    parts: Parts,
    spec: FilterSpec,
    start: datetime | None = None,
    end: datetime | None = None,
    on_progress: OnProgress = lambda _done, _total: None,
) -> Backtest:
    """Ask a filter about the alerts of a half-open window of time; one without a time counts by its receipt.

    A filter that is not active is asked all the same.

    Raises
    ------
    UsageError
        It reads a column that is known neither to the frames nor to any packet.
    """
    reader = Reader(parts, replace(spec, active=True))
    total, done = reader.offsets(), 0
    tally = _Tally()
    for stretch in reader.stretches(start, end):
        tally.evaluated.update(_nights(stretch.frame))
        rows = reader.filled(stretch)
        tally.add(rows.filter(mask(reader.spec, rows, tally.faults)))
        done += stretch.offsets
        on_progress(min(done, total), total)
    if reads_maps(reader):
        had = set(tally.rows()["alert_id"])
        told = rescored(reader, start, end, had=had, faults=tally.faults, on_moment=on_progress)
        if "nuncius.received" in told.columns:
            tally.add(told)
    return _told(parts, reader, tally, start, end)


def expected_share(parts: Parts, spec: FilterSpec) -> Share:
    """What part of the newest alerts kept a filter picks, of those of the streams it sees: some `SAMPLE` of them."""
    reader = Reader(parts, replace(spec, active=True))
    evaluated = matched = packets = 0
    for stretch in reader.stretches(newest=True):
        left = SAMPLE - evaluated
        if stretch.sought:
            left = min(left, SAMPLE_PACKETS - packets)
        if left <= 0:
            break
        stretch.frame = stretch.frame.sort("nuncius.received", "alert_id", descending=True).head(left)
        evaluated += stretch.frame.height
        packets += stretch.frame.height if stretch.sought else 0
        matched += int(mask(reader.spec, reader.filled(stretch), Counter()).sum())
    return Share(evaluated, matched)


def refuse(share: Share | Backtest, settings: Settings) -> None:
    """Refuse a filter that picks too much of what it sees; fewer than `FEWEST` alerts decide nothing.

    Raises
    ------
    RefusedError
        It picks a larger part than the settings allow.
    """
    most = settings.backtest.most_share
    if share.evaluated >= FEWEST and share.share > most:
        raise RefusedError(
            f"the filter picks {share.share:.1%} of the alerts it sees ({share.matched:,} of {share.evaluated:,}), and "
            f"backtest.most_share allows {most:.1%}: narrow its condition, or say --force"
        )


def _nights(rows: pl.DataFrame) -> Counter[str]:
    when = rows.select(pl.coalesce("time", "nuncius.received").dt.offset_by("-12h").dt.date().alias("night"))
    return Counter({night.isoformat(): count for night, count in when["night"].value_counts().iter_rows()})


def _told(parts: Parts, reader: Reader, tally: _Tally, start: datetime | None, end: datetime | None) -> Backtest:
    rows, evaluated = tally.rows(), tally.evaluated.total()
    matched = _nights(rows)
    nights = tuple(Night(night, tally.evaluated[night], matched[night]) for night in sorted(tally.evaluated))
    return Backtest(
        filter=reader.spec.name,
        version=reader.spec.version,
        since=start,
        until=end,
        evaluated=evaluated,
        matched=rows.height,
        share=rows.height / evaluated if evaluated else 0.0,
        per_night=rows.height / len(nights) if nights else 0.0,
        nights=nights,
        magnitudes=_histogram(rows["mag"]),
        overlap=_overlap(parts, reader.spec, rows["alert_id"].to_list()),
        samples=_samples(rows),
        warnings=tuple(_warnings(reader, tally)),
        matches=tuple(rows["alert_id"]),
    )


def _histogram(mag: pl.Series) -> tuple[Bin, ...]:
    finite = mag.drop_nulls().filter(mag.drop_nulls().is_finite())
    counts = Counter(math.floor(value / BIN) for value in finite)
    return (
        tuple(Bin(number * BIN, (number + 1) * BIN, counts[number]) for number in range(min(counts), max(counts) + 1))
        if counts
        else ()
    )


def _overlap(parts: Parts, spec: FilterSpec, alert_ids: list[str]) -> dict[str, int]:
    others = {other.name for other in parts.filters if other.active and other.name != spec.name}
    found = matches.common(parts.store, alert_ids)
    return {name: count for name, count in sorted(found.items(), key=lambda item: (-item[1], item[0])) if name in others}


def _samples(rows: pl.DataFrame) -> tuple[Sample, ...]:
    count = min(CARDS, rows.height)
    places = [number * rows.height // count for number in range(count)]
    return tuple(
        Sample(**row, link=f"/alerts/{quote(row['alert_id'], safe='')}")
        for row in rows[places].select(_SHOWN).iter_rows(named=True)
    )


def _warnings(reader: Reader, tally: _Tally) -> list[str]:
    told = [
        f"{name} was not kept for {count:,} alerts: null for them" for name, count in sorted(reader.absent.items()) if count
    ]
    told += reader.unmet()
    return told + [f"the filter failed on {count:,} alerts: {reason}" for reason, count in sorted(tally.faults.items())]
