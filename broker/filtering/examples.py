"""The worked examples of a filter, run through the filter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import polars as pl

from broker.alert import COMMON, SKYMAPS_DTYPE, UTC
from broker.filtering.definition import Example, FilterSpec
from broker.filtering.evaluate import evaluate, make_plan

__all__ = ["Failure", "lacking", "run_examples"]


@dataclass(frozen=True, slots=True)
class Failure:
    """An example that does not come out as worked.

    Parameters
    ----------
    number
        Which, from 1.
    reason
        What came out instead.
    """

    filter: str
    number: int
    note: str
    reason: str


def lacking(spec: FilterSpec) -> list[str]:
    """Kinds of example, of a match and of none, that a filter does not have: without them little is known of it."""
    return [
        f"no example that {'matches' if kind else 'does not match'}: add an [[example]]"
        for kind in (True, False)
        if all(example.matches is not kind for example in spec.examples)
    ]


def run_examples(spec: FilterSpec) -> list[Failure]:
    """Examples whose outcome is not the one given."""
    failures: list[Failure] = []
    if not spec.examples:
        return failures
    told: list[str] = []
    try:
        frame = _frame(spec.examples)
    except (pl.exceptions.PolarsError, TypeError, ValueError) as error:
        return [*failures, Failure(spec.name, 0, "", f"the examples are no alerts: {error}")]
    mask = evaluate(make_plan([spec], frame.schema), frame, lambda _, message: told.append(message)).get(spec.name)
    if mask is None:
        return [*failures, Failure(spec.name, 0, "", told[0])]
    for number, (example, came) in enumerate(zip(spec.examples, mask, strict=True), start=1):
        if came is not example.matches:
            wanted, got = ("a match", "none") if example.matches else ("no match", "one")
            failures.append(Failure(spec.name, number, example.note, f"{wanted} expected, {got} came"))
    return failures


def _frame(examples: Sequence[Example]) -> pl.DataFrame:
    names = dict.fromkeys(name for example in examples for name in example.alert)
    if not names:
        return pl.DataFrame(height=len(examples))
    return pl.DataFrame([_column(name, [example.alert.get(name) for example in examples]) for name in names])


def _column(name: str, values: Sequence[Any]) -> pl.Series:
    if name == "skymaps":
        fields = dict.fromkeys(field.name for field in SKYMAPS_DTYPE.inner.fields)  # type: ignore[union-attr]
        full = [None if maps is None else [fields | entry for entry in maps] for maps in values]
        return pl.Series(name, full, dtype=SKYMAPS_DTYPE)
    if COMMON.get(name) == UTC or any(isinstance(value, datetime | date) for value in values):
        texts = [None if value is None else value if isinstance(value, str) else value.isoformat() for value in values]
        return pl.Series(name, texts, dtype=pl.String).str.to_datetime(time_unit="us", time_zone="UTC")
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if name not in COMMON and any(isinstance(value, float) for value in numbers):
        values = [float(value) if value is not None else None for value in values]
    return pl.Series(name, values, dtype=COMMON.get(name), strict=name not in COMMON)
