"""The step that asks every filter about every alert."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from broker.alert import COMMON, NOT_REAL, Batch, Step
from broker.filtering import definition
from broker.filtering.definition import FilterSpec
from broker.filtering.evaluate import Plan, make_plan, pick
from broker.filtering.machine import Rows
from broker.process.features import needs
from broker.telemetry import FILTER_ERRORS, MATCHES, get_logger

__all__ = ["matched", "real_ones", "select", "wanted"]

_log = get_logger(__name__)

_MOST_PLANS = 64


def wanted(filters: Sequence[FilterSpec], stream: str) -> frozenset[str]:
    """Names beside the common columns that a stream's filters read: packet fields, and what other steps are to add.

    A filter that names a light-curve feature wants the history the feature is made of.
    """
    names = definition.wanted(filters, stream)
    return frozenset(name for name in names if name not in COMMON and name != "skymaps") | needs(names)


def select(filters: Sequence[FilterSpec]) -> Step:
    """Step that fills `Batch.matches` with the rows each filter picks, leaving out filters that pick none.

    All filters of the stream are asked in one pass. A column that the frame does not have is null; a filter that
    fails is logged once for each kind of frame and counted, and the others go on. What stands for nothing on the sky, such as
    test notices, is picked only by filters that say they want it.
    """
    wants_tests = frozenset(spec.name for spec in filters if spec.tests)
    plans: dict[tuple[str, tuple[tuple[str, pl.DataType], ...]], Plan] = {}
    told: set[tuple[str, str, str]] = set()

    def step(batch: Batch) -> Batch:
        key = (batch.stream, tuple(batch.frame.schema.items()))
        if key not in plans:
            if len(plans) >= _MOST_PLANS:  # frames whose columns keep changing must not fill the memory
                plans.clear()
            plans[key] = make_plan([spec for spec in filters if spec.sees(batch.stream)], batch.frame.schema)

        def fault(name: str, message: str) -> None:
            FILTER_ERRORS.labels(name).inc()
            if (batch.stream, name, message) not in told:
                told.add((batch.stream, name, message))
                _log.error("filter failed", filter=name, stream=batch.stream, reason=message)

        if not batch.frame.height:
            return batch
        matches = real_ones(pick(plans[key], batch.frame, fault), batch.frame["alert_tense"], wants_tests)
        for name, rows in matches.items():
            MATCHES.labels(name).inc(len(rows))
        return replace(batch, matches=matches)

    return step


def matched(filters: Sequence[FilterSpec], batch: Batch) -> list[FilterSpec]:
    """Those that picked something: what follows is to cost nothing for the others."""
    return [spec for spec in filters if spec.name in batch.matches]


def real_ones(picked: dict[str, Rows], tense: pl.Series, wants_tests: frozenset[str]) -> dict[str, Rows]:
    """Rows by filter without what stands for nothing on the sky, such as test notices, but for filters that want it.

    Parameters
    ----------
    tense
        ``alert_tense`` of all rows.
    wants_tests
        Names of those filters.
    """
    if tense.null_count() == len(tense):  # surveys
        return picked
    real = ~tense.is_in(NOT_REAL).fill_null(value=False).to_numpy()
    kept = {name: rows if name in wants_tests else rows[real[rows]] for name, rows in picked.items()}
    return {name: rows for name, rows in kept.items() if len(rows)}
