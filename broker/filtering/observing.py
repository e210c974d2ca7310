"""Functions of an observer's sky, as Polars expressions: from the alert's own position and time, never from a clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from broker.filtering.parse import nearest
from broker.filtering.signature import Column, Function, Parameter
from broker.filtering.values import Value
from broker.science import observing
from broker.science.sites import SITES, Site

__all__ = ["OBSERVING"]

Floats = npt.NDArray[np.float64]
_NEEDS = ("ra", "dec", "time")
_SITE = Parameter("site", "string", literal=True)
_MJD_OF_EPOCH = 40_587.0


def _angle(of: Callable[[Floats, Floats], npt.NDArray[np.generic]], column: Column, dtype: type[pl.DataType]) -> pl.Expr:
    """A function of times (MJD, UTC) and unit vectors, over columns; null where time or place is unknown."""

    def run(columns: Sequence[pl.Series]) -> pl.Series:
        time = columns[0].dt.epoch("us").cast(pl.Float64).fill_null(float("nan")).to_numpy() / 86_400e6 + _MJD_OF_EPOCH
        towards = np.stack([each.cast(pl.Float64).fill_null(float("nan")).to_numpy() for each in columns[1:]], axis=1)
        known = np.isfinite(time) & np.isfinite(towards).all(axis=1)
        mjd = np.where(known, time, np.nan)
        values = pl.Series(of(mjd, np.where(known[:, None], towards, np.nan)), dtype=dtype)
        return pl.select(pl.when(pl.Series(known)).then(values)).to_series()

    given = [column("time"), *(column(axis) for axis in ("_x", "_y", "_z"))]
    return pl.map_batches(given, run, return_dtype=dtype(), is_elementwise=True)


def _site(value: Value) -> Site:
    name = str(value.literal)
    site = SITES.get(name.lower())
    if site is None:
        raise ValueError(f"no site {name!r}{nearest(name.lower(), sorted(SITES))}; there are {', '.join(sorted(SITES))}")
    return site


def _altitude(args: Sequence[Value], column: Column) -> pl.Expr:
    site = _site(args[0])
    return _angle(lambda mjd, towards: observing.altitude(mjd, towards, site), column, pl.Float64)


def _visible(args: Sequence[Value], column: Column) -> pl.Expr:
    site, lowest = _site(args[0]), float(args[1].literal or 0.0)
    return _angle(lambda mjd, towards: observing.visible(mjd, towards, site, lowest), column, pl.Boolean)


OBSERVING: dict[str, Function] = {
    "sun_sep": Function(
        ((),),
        "number",
        lambda _, column: _angle(observing.sun_separation, column, pl.Float64),
        "degrees from the Sun at the time of the alert",
        columns=_NEEDS,
    ),
    "moon_sep": Function(
        ((),),
        "number",
        lambda _, column: _angle(observing.moon_separation, column, pl.Float64),
        "degrees from the Moon, seen from the middle of the Earth, at the time of the alert",
        columns=_NEEDS,
    ),
    "altitude": Function(
        ((_SITE,),), "number", _altitude, "degrees above a site's horizon at the time of the alert", columns=_NEEDS
    ),
    "visible_tonight": Function(
        ((_SITE, Parameter("min_alt", literal=True)),),
        "boolean",
        _visible,
        "whether it stands at least so many degrees high at a site, the Sun 12 degrees down, within 24 hours of the alert",
        columns=_NEEDS,
    ),
}
