"""How far an alert's host is: from a redshift its packet gives, else from the galaxy of a catalogue it lies at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from broker.science.cosmology import luminosity_distance
from broker.store.catalogs import Catalog

__all__ = ["Distances", "columns_of", "host_distances"]

FloatArray = npt.NDArray[np.float64]

Distances = Callable[[pl.DataFrame], FloatArray]
"""Luminosity distance in Mpc of a frame's alerts; NaN where it is not known."""

_DISTANCES = ("dist", "distance", "dl", "d")
_REDSHIFTS = ("z", "redshift", "zbest", "z_best")


def columns_of(catalogs: Sequence[Catalog], redshifts: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Columns that tell a distance, in the order in which they count.

    Parameters
    ----------
    redshifts
        Packet fields that declarations name as redshifts of the host.

    Returns
    -------
    packet, distance, redshift
        Redshifts in packets; distances in Mpc and redshifts of catalogues.
    """
    mpc, z = [], []
    for catalog in catalogs:
        units = catalog.meta.get("units", {})
        mpc += [f"{catalog.name}.{name}" for name in _DISTANCES if name in catalog.columns and units.get(name) == "Mpc"]
        z += [f"{catalog.name}.{name}" for name in _REDSHIFTS if name in catalog.columns]
    return tuple(dict.fromkeys(redshifts)), tuple(mpc), tuple(z)


def host_distances(catalogs: Sequence[Catalog], redshifts: Iterable[str]) -> Distances:
    """Function that tells how far alerts' hosts are; see `columns_of`."""
    packet, mpc, z = columns_of(catalogs, redshifts)

    def distances(frame: pl.DataFrame) -> FloatArray:
        found = np.full(frame.height, np.nan)
        for names, convert in ((packet, luminosity_distance), (mpc, _positive), (z, luminosity_distance)):
            for name in names:
                if name in frame.columns and frame[name].null_count() < frame.height:
                    value = convert(frame[name].cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy())
                    found = np.where(np.isnan(found), value, found)
        return found

    return distances


def _positive(distance: FloatArray) -> FloatArray:
    return np.where(np.isfinite(distance) & (distance > 0.0), distance, np.nan)
