"""Why a filter picks what it picks: how many alerts pass each of its AND-clauses, and what each clause says of one alert."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Final

import polars as pl

from broker.alert import COMMON, NOT_REAL
from broker.api.services import FilterWindow
from broker.errors import NotFoundError, UsageError
from broker.filtering.definition import FilterSpec
from broker.filtering.expression import compile_expression
from broker.filtering.parse import Parsed
from broker.process import associate
from broker.store import alerts
from broker.wiring.backtest_rows import Reader
from broker.wiring.current import with_maps_of_now
from broker.wiring.parts import Parts

__all__ = ["Funnel", "Passes", "Verdict", "funnel", "of_row", "told", "verdicts"]

REAL: Final = "no test, mock event, injection or command"
"""Stands for the condition of every filter that does not say ``tests = true``."""


@dataclass(frozen=True, slots=True)
class Passes:
    """How many alerts a clause lets through: by itself, and of those that all clauses before it let through."""

    text: str
    passes_alone: int
    passes_in_order: int


@dataclass(frozen=True, slots=True)
class Funnel:
    """What becomes of the alerts that a filter sees."""

    evaluated: int
    matched: int
    clauses: tuple[Passes, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a clause says of one alert.

    Parameters
    ----------
    value
        The columns it reads, by name.
    true
        ``None`` where it is unknown, which is not enough to be picked.
    """

    text: str
    value: Mapping[str, Any]
    true: bool | None


def funnel(
    parts: Parts,
    spec: FilterSpec,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    on_alerts: Callable[[int, int], None] = lambda _done, _total: None,
) -> Funnel:
    """Count the alerts kept that pass each clause, alone and in order.

    Parameters
    ----------
    start, end
        Half-open window of the alerts' time.
    on_alerts
        Told how many of about how many are read.

    Raises
    ------
    UsageError
        A column is known neither to the frames nor to any packet.
    """
    rows = _rows(parts, replace(spec, active=True), start, end, on_alerts)
    of_clauses = _masks(spec, rows)
    left = pl.Series([True] * rows.height, dtype=pl.Boolean)
    counted = []
    for text, mask in of_clauses:
        alone = mask.fill_null(value=False)
        left &= alone
        counted.append(Passes(text, int(alone.sum()), int(left.sum())))
    return Funnel(rows.height, int(left.sum()), tuple(counted))


def verdicts(parts: Parts, spec: FilterSpec, alert_id: str) -> tuple[Verdict, ...]:
    """What each clause says of an alert.

    Raises
    ------
    NotFoundError
        There is no such alert.
    UsageError
        The filter does not see its stream, or reads a column that nobody knows.
    """
    spec, stream = replace(spec, active=True), alert_id.partition(":")[0]
    if not spec.sees(stream):
        raise UsageError(f"filter {spec.name!r} does not see stream {stream!r}: it sees {', '.join(spec.streams)}")
    reader = Reader(parts, spec)
    rows = reader.one(alerts.get(parts.store, alert_id))
    if rows.is_empty():
        raise NotFoundError(f"the frames no longer have {alert_id}: its packet can be read with `nuncius packet {alert_id}`")
    _met(reader)
    return of_row(spec, _now(parts, reader, rows))


def of_row(spec: FilterSpec, rows: pl.DataFrame) -> tuple[Verdict, ...]:
    """What each clause says of the first of some rows."""
    row = rows.row(0, named=True)
    reads = {text: compile_expression(Parsed(spec.parsed.text, ((text, tree),))).columns for text, tree in spec.parsed.clauses}
    found = []
    for text, mask in _masks(spec, rows):
        names = sorted(reads.get(text, {"alert_tense"}))
        found.append(Verdict(text, {name: row.get(name) for name in names}, mask[0]))
    return tuple(found)


def told(parts: Parts, asked: FilterWindow) -> dict[str, Any]:
    """`funnel`, or `verdicts` of one alert, as JSON has it."""
    about: dict[str, Any] = {"filter": asked.spec.name, "version": asked.spec.version}
    if asked.alert_id is None:
        return about | asdict(funnel(parts, asked.spec, start=asked.since, end=asked.until))
    said = verdicts(parts, asked.spec, asked.alert_id)
    clauses = [asdict(each) for each in said]
    return about | {"alert_id": asked.alert_id, "matches": all(each.true for each in said), "clauses": clauses}


def _rows(
    parts: Parts,
    spec: FilterSpec,
    start: datetime | None,
    end: datetime | None,
    on_alerts: Callable[[int, int], None],
) -> pl.DataFrame:
    """Alerts that the filter sees, with the columns its condition reads."""
    reader = Reader(parts, spec)
    total, done = reader.offsets(), 0
    found = []
    for stretch in reader.stretches(start, end):
        found.append(reader.filled(stretch, every=True))
        done += stretch.offsets
        on_alerts(min(done, total), total)
    _met(reader)
    if not found:
        return pl.DataFrame(schema={**COMMON, **dict.fromkeys(reader.wanted, pl.Null)})
    return _now(parts, reader, pl.concat(found, how="diagonal_relaxed"))


def _met(reader: Reader) -> None:
    if wrong := reader.unmet():
        raise UsageError(wrong[0])


def _now(parts: Parts, reader: Reader, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with the sky maps of now."""
    return with_maps_of_now(parts, rows.lazy()).collect() if not reader.reads.isdisjoint(associate.COLUMNS) else rows


def _masks(spec: FilterSpec, rows: pl.DataFrame) -> list[tuple[str, pl.Series]]:
    """Each clause with its value for every row; null where unknown."""
    clauses = compile_expression(spec.parsed, dict(rows.schema), lenient=True).clauses
    height = pl.int_range(pl.len()).alias("")  # gives clauses without a column the height of the frame
    table = rows.lazy().select(height, *(clause.expr.alias(str(number)) for number, clause in enumerate(clauses))).collect()
    found = [(clause.text, table[str(number)].cast(pl.Boolean)) for number, clause in enumerate(clauses)]
    if spec.tests or rows["alert_tense"].null_count() == rows.height:  # surveys have no tests
        return found
    return [(REAL, ~rows["alert_tense"].is_in(NOT_REAL).fill_null(value=False)), *found]
