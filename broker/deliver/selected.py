"""What matches carry beside the common columns, as JSON for the database, whose readers are to see what Kafka's see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from broker.alert import COMMON, HISTORY, PRIVATE
from broker.deliver.publish import computed_columns
from broker.filtering.definition import FilterSpec
from broker.store.bulk import clean

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
    found: dict[str, list[str]] = {}
    for spec in specs:
        chosen = {name: column for (owner, name), column in made.items() if owner == spec.name} if spec.select else everything
        found[spec.name] = _json(few[np.searchsorted(picked, matches[spec.name])], chosen)
    return found


def _json(rows: pl.DataFrame, chosen: Mapping[str, str]) -> list[str]:
    scalars = {name: column for name, column in chosen.items() if not _nested(rows.schema[column])}
    if not scalars:
        return ["{}"] * rows.height
    values = clean(rows.select(pl.col(column).alias(name) for name, column in scalars.items()))
    return values.select(pl.struct(pl.all()).struct.json_encode()).to_series().to_list()


def _nested(dtype: pl.DataType) -> bool:
    return dtype.is_nested() or dtype in {pl.Binary, pl.Null}
