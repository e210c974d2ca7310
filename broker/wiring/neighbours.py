"""Sources of the built catalogues round a place, for finding charts."""

from __future__ import annotations

import math
from typing import Any, Final

import polars as pl

from broker.science.finding_chart import Source
from broker.store import catalogs
from broker.store.catalogs import Catalog
from broker.wiring.parts import Parts

__all__ = ["FIELD", "neighbours"]

FIELD: Final = 120.0 * math.sqrt(2) / 3600  # degrees to the corners of the largest chart, whose sides are 2 arcminutes away
_MOST: Final = 150  # of each catalogue, the nearest first
# Names that columns of tables have, the catalogues' own of ours first; compared without regard to case.
_MAGNITUDES: Final = (
    *("phot_g_mean_mag", "mag", "g_mag", "v_mag", "b_mag", "r_mag", "k_mag"),
    *("gmag", "vmag", "bmag", "rmag", "kmag"),
)


def neighbours(parts: Parts, ra: float, dec: float, radius: float = FIELD) -> list[Source]:
    """Sources within a circle, those of each catalogue together, the nearest first.

    Parameters
    ----------
    ra, dec, radius
        Degrees, ICRS.
    """
    return [source for one in parts.catalogs for source in _of(one, ra, dec, radius)]


def _of(catalog: Catalog, ra: float, dec: float, radius: float) -> list[Source]:
    rows = catalogs.near(catalog, ra, dec, radius)[0][:_MOST]
    found = catalogs.take(catalog, rows)
    lower = {name.lower(): name for name in found.columns}
    name = next((lower[each] for each in _MAGNITUDES if each in lower and found[lower[each]].dtype.is_numeric()), None)
    mags: list[Any] = found[name].cast(pl.Float64).fill_nan(None).to_list() if name else [None] * len(rows)
    places = zip(found["id"].to_list(), catalog.ra[rows].tolist(), catalog.dec[rows].tolist(), mags, strict=True)
    return [Source(catalog.name, ident or "", ra, dec, mag) for ident, ra, dec, mag in places]
