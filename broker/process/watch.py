"""Step: where alerts lie beside the targets of watchlists and in the regions that filters ask for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from broker.alert import Batch, Step
from broker.science.sky import in_ranges
from broker.science.targets import TargetIndex, match

__all__ = ["LIST_COLUMNS", "REGION_PREFIX", "WATCHLIST_PREFIX", "Asked", "Held", "OpenList", "asked_of", "columns_of", "watch"]

WATCHLIST_PREFIX: Final = "watchlist."
REGION_PREFIX: Final = "moc."

LIST_COLUMNS: Final[Mapping[str, type[pl.DataType]]] = {"sep": pl.Float64, "id": pl.String, "inside": pl.Boolean}
"""Columns of a watchlist, behind its name: arcseconds to the nearest target within a degree, which it is, and whether the
alert lies within the radius of any target."""

_WITHIN: Final = 1.0  # degrees


@dataclass(frozen=True, slots=True)
class Asked:
    """What filters ask for: columns by watchlist, and regions."""

    watchlists: Mapping[str, frozenset[str]]
    regions: frozenset[str]


@dataclass(frozen=True, slots=True, eq=False)
class OpenList:
    """A watchlist in the version that holds.

    Parameters
    ----------
    ids
        Of the targets, in the order of their rows in `index`.
    """

    index: TargetIndex
    ids: pl.Series


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """What there is of what is asked for, all of one moment.

    Parameters
    ----------
    regions
        Order-29 ranges, shape (n, 2).
    """

    watchlists: Mapping[str, OpenList]
    regions: Mapping[str, npt.NDArray[np.int64]]


def columns_of(watchlist: str) -> list[str]:
    """Columns of a watchlist."""
    return [f"{WATCHLIST_PREFIX}{watchlist}.{kind}" for kind in LIST_COLUMNS]


def asked_of(columns: Collection[str]) -> Asked:
    """What filters that read these columns ask for."""
    lists: dict[str, set[str]] = {}
    for column in columns:
        name, _, kind = column.removeprefix(WATCHLIST_PREFIX).rpartition(".")
        if column.startswith(WATCHLIST_PREFIX) and name and kind in LIST_COLUMNS:
            lists.setdefault(name, set()).add(kind)
    regions = {column.removeprefix(REGION_PREFIX) for column in columns if column.startswith(REGION_PREFIX)}
    return Asked({name: frozenset(kinds) for name, kinds in sorted(lists.items())}, frozenset(regions - {""}))


def watch(columns: Collection[str], load: Callable[[Asked], Held]) -> Step:
    """Step that adds ``watchlist.<name>.sep``, ``.id``, ``.inside`` and ``moc.<name>``, as far as they are asked for.

    Null where the alert has no place, and where there is no such list or region.

    Parameters
    ----------
    columns
        That filters read.
    load
        Gives what holds now. Asked once a batch: all its alerts see the same.
    """
    asked = asked_of(columns)
    if not asked.watchlists and not asked.regions:
        return lambda batch: batch

    def step(batch: Batch) -> Batch:
        held = load(asked)
        frame = batch.frame
        hpx = frame["hpx"].fill_null(-1).to_numpy()
        ra, dec = (np.where(hpx >= 0, frame[name].fill_null(np.nan).to_numpy(), np.nan) for name in ("ra", "dec"))
        added = [
            column
            for name, kinds in asked.watchlists.items()
            for column in _beside(name, kinds, held.watchlists.get(name), ra, dec)
        ]
        added += [_inside(name, held.regions.get(name), hpx) for name in sorted(asked.regions)]
        return replace(batch, frame=frame.with_columns(added))

    return step


def _beside(
    name: str,
    kinds: frozenset[str],
    found: OpenList | None,
    ra: npt.NDArray[np.float64],
    dec: npt.NDArray[np.float64],
) -> list[pl.Series]:
    called = {kind: f"{WATCHLIST_PREFIX}{name}.{kind}" for kind in LIST_COLUMNS if kind in kinds}
    if found is None:
        return [pl.Series(column, [None] * ra.size, dtype=LIST_COLUMNS[kind]) for kind, column in called.items()]
    row, apart, inside = match(found.index, ra, dec, _WITHIN)
    near = pl.Series(row >= 0)
    nowhere = pl.Series(np.isnan(ra) | np.isnan(dec))
    values = {
        "sep": pl.Series(apart * 3600.0).set(~near, None),
        "id": found.ids.gather(np.maximum(row, 0)).set(~near, None),
        "inside": pl.Series(inside).set(nowhere, None),
    }
    return [values[kind].alias(column) for kind, column in called.items()]


def _inside(name: str, ranges: npt.NDArray[np.int64] | None, hpx: npt.NDArray[np.int64]) -> pl.Series:
    column = f"{REGION_PREFIX}{name}"
    if ranges is None:
        return pl.Series(column, [None] * hpx.size, dtype=pl.Boolean)
    return pl.Series(column, in_ranges(hpx, ranges)).set(pl.Series(hpx < 0), None)
