"""What matches carry beside the common columns, as JSON for the database, whose readers are to see what Kafka's see."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import date, time
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from broker.alert import COMMON, HISTORY, PRIVATE
from broker.deliver.publish import computed_columns
from broker.filtering.definition import FilterSpec

__all__ = ["selected"]

Rows = npt.NDArray[np.int64]


def selected(frame: pl.DataFrame, filters: Sequence[FilterSpec], matches: Mapping[str, Rows]) -> dict[str, list[str]]:
    """Values by filter name: one JSON object a row that the filter picked, in order.

    Parameters
    ----------
    frame
        After the last step.
    filters
        Those of `matches`, at least.
    matches
        Rows by filter name.
    """
    specs = [spec for spec in filters if len(matches.get(spec.name, ()))]
    if not specs:
        return {}
    picked = np.unique(np.concatenate([matches[spec.name] for spec in specs]))
    few, made = computed_columns(frame[picked], specs)
    skip = {*COMMON, *HISTORY, *PRIVATE, "skymaps"}
    everything = {name: name for name in frame.columns if name not in skip and not name.startswith("_")}
    kinds = few.schema
    by_filter: dict[str, dict[str, str]] = {}
    for (owner, name), column in made.items():
        by_filter.setdefault(owner, {})[name] = column
    found: dict[str, list[str]] = {}
    for spec in specs:
        chosen = by_filter.get(spec.name, {}) if spec.select else everything
        scalars = {name: column for name, column in chosen.items() if not _nested(kinds[column])}
        rows = few[np.searchsorted(picked, matches[spec.name])]
        if scalars:
            found[spec.name] = _json(list(scalars), rows.select(pl.col(column) for column in scalars.values()))
        else:  # common columns only, which every match has
            found[spec.name] = ["{}"] * rows.height
    return found


def _json(names: list[str], rows: pl.DataFrame) -> list[str]:
    """A JSON object a row; made in Python, since a batch has few matches."""
    return [json.dumps(dict(zip(names, map(_plain, row), strict=True))) for row in rows.iter_rows()]


def _plain(value: Any) -> Any:
    """The value as both databases and JSON keep it: no NaN, no NUL in text."""
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value.isoformat() if isinstance(value, date | time) else value


def _nested(dtype: pl.DataType) -> bool:
    return dtype.is_nested() or dtype in {pl.Binary, pl.Null, pl.Duration}
