"""Functions of an observer's sky, as Polars expressions: from the alert's own position and time, never from a clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from broker.filtering.parse import meant, near
from broker.filtering.signature import Column, Function, NotKnownError, Parameter
from broker.filtering.values import Value
from broker.science import observing
from broker.science.sites import Site, sites

__all__ = ["OBSERVING"]

Floats = npt.NDArray[np.float64]
Angle = Callable[[Floats, Floats], Floats]
"""Degrees, of times (MJD, UTC) and unit vectors."""

_NEEDS = ("ra", "dec", "time")
_SITE = Parameter("site", "string", literal=True)
_MJD_OF_EPOCH = 40_587.0
_MOST_SITES = 40  # told where one is not known


def _angle(name: str, of: Angle, column: Column) -> pl.Expr:
    """A function of times and directions over columns, made once for all filters; null where time or place is unknown.

    Parameters
    ----------
    name
        Under which filters share it.
    """

    def run(columns: Sequence[pl.Series]) -> pl.Series:
        moments, ra, dec = columns
        time = moments.dt.epoch("us").cast(pl.Float64).fill_null(float("nan")).to_numpy() / 86_400e6 + _MJD_OF_EPOCH
        lon, lat = (np.radians(each.cast(pl.Float64).fill_null(float("nan")).to_numpy()) for each in (ra, dec))
        with np.errstate(invalid="ignore"):  # what is infinite has no cosine
            towards = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)
        known = np.isfinite(time) & np.isfinite(towards).all(axis=1)
        values = np.full(time.size, np.nan)
        values[known] = of(time[known], towards[known])
        return pl.Series(values).fill_nan(None)

    # From the alert's own columns: what is shared is made in one pass, which sees nothing else that is shared.
    given = [pl.col(name) for name in ("time", "ra", "dec")]
    return column.share(name, pl.map_batches(given, run, return_dtype=pl.Float64(), is_elementwise=True))


def _site(value: Value) -> Site:
    name, known = str(value.literal), sites()
    site = known.get(name.lower())
    if site is None:
        like = near(name.lower(), known)
        there = ", ".join(sorted(known)[:_MOST_SITES])
        raise NotKnownError(f"no site {name[:100]!r}{meant(like)}; there are {there}", near=like)
    return site


def _altitude(args: Sequence[Value], column: Column) -> pl.Expr:
    site = _site(args[0])
    name = f"_altitude {site.longitude} {site.latitude}"
    return _angle(name, lambda mjd, towards: observing.altitude(mjd, towards, site), column)


def _visible(args: Sequence[Value], column: Column) -> pl.Expr:
    site, lowest = _site(args[0]), float(args[1].literal or 0.0)
    name = f"_highest {site.longitude} {site.latitude}"
    return _angle(name, lambda mjd, towards: observing.highest(mjd, towards, site), column) >= lowest


OBSERVING: Mapping[str, Function] = {
    "sun_sep": Function(
        ((),),
        "number",
        lambda _, column: _angle("_sun_sep", observing.sun_separation, column),
        "degrees from the Sun at the time of the alert",
        columns=_NEEDS,
        cost=50,
    ),
    "moon_sep": Function(
        ((),),
        "number",
        lambda _, column: _angle("_moon_sep", observing.moon_separation, column),
        "degrees from the Moon, seen from the middle of the Earth, at the time of the alert",
        columns=_NEEDS,
        cost=50,
    ),
    "altitude": Function(
        ((_SITE,),), "number", _altitude, "degrees above a site's horizon at the time of the alert", columns=_NEEDS, cost=50
    ),
    "visible_tonight": Function(
        ((_SITE, Parameter("min_alt", literal=True)),),
        "boolean",
        _visible,
        "whether it stands at least so many degrees high at a site, the Sun 12 degrees down, within 24 hours of the alert",
        columns=_NEEDS,
        cost=400,
    ),
}
