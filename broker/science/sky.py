"""Positions on the sphere: HEALPix indices, separations, cones as index ranges.

Everywhere an index is NESTED at order 29, where a cell is 0.4 milliarcseconds wide: the index of a coarser cell is a prefix of
it, so that any region is a few half-open ranges of indices.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = [
    "CELL_AREA",
    "NPIX29",
    "ORDER",
    "cell_width",
    "cone_ranges",
    "in_ranges",
    "merge_ranges",
    "radec_to_hpx",
    "separation",
]

ORDER: Final = 29
NPIX29: Final = 12 << (2 * ORDER)
CELL_AREA: Final = 4.0 * np.pi / NPIX29
"""Steradians in a cell of order 29."""

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_FINEST_CONE = 24  # cells of 13 milliarcseconds: finer would only make more ranges


def radec_to_hpx(ra: npt.ArrayLike, dec: npt.ArrayLike) -> IntArray:
    """Order-29 NESTED cells that hold the positions.

    Parameters
    ----------
    ra, dec : array_like, shape (n,)
        Degrees, ICRS; right ascension of any number of turns.

    Returns
    -------
    ndarray of int64, shape (n,)
        -1 where a coordinate is not finite or the declination is off the sphere.
    """
    import healpy  # noqa: PLC0415 - takes more than a second to load, and most verbs ask for no cell

    lon, lat = np.broadcast_arrays(np.asarray(ra, np.float64), np.asarray(dec, np.float64))
    good = np.isfinite(lon) & (np.abs(lat) <= 90.0)  # a comparison with NaN is false
    out = np.full(lon.shape, -1, np.int64)
    if good.all():
        out[...] = healpy.ang2pix(1 << ORDER, lon % 360.0, lat, nest=True, lonlat=True)
    elif good.any():
        out[good] = healpy.ang2pix(1 << ORDER, lon[good] % 360.0, lat[good], nest=True, lonlat=True)
    return out


def hpx_to_radec(hpx: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Positions of the centres of order-29 NESTED cells, degrees."""
    import healpy  # noqa: PLC0415

    ra, dec = healpy.pix2ang(1 << ORDER, np.asarray(hpx, np.int64), nest=True, lonlat=True)
    return np.asarray(ra, np.float64), np.asarray(dec, np.float64)


def separation(ra1: npt.ArrayLike, dec1: npt.ArrayLike, ra2: npt.ArrayLike, dec2: npt.ArrayLike) -> FloatArray:
    """Great-circle distances by the formula of Vincenty, exact for the smallest and the largest angles.

    Parameters
    ----------
    ra1, dec1, ra2, dec2 : array_like
        Degrees, broadcast against each other.

    Returns
    -------
    ndarray
        Degrees, 0 to 180.

    References
    ----------
    Vincenty (1975), Survey Review 23 (176), 88, for a sphere.
    """
    lat1, lat2 = np.radians(dec1), np.radians(dec2)
    dlon = np.radians(np.asarray(ra2, np.float64) - np.asarray(ra1, np.float64))
    sin1, cos1, sin2, cos2 = np.sin(lat1), np.cos(lat1), np.sin(lat2), np.cos(lat2)
    across = np.hypot(cos2 * np.sin(dlon), cos1 * sin2 - sin1 * cos2 * np.cos(dlon))
    along = sin1 * sin2 + cos1 * cos2 * np.cos(dlon)
    return np.asarray(np.degrees(np.arctan2(across, along)), np.float64)


def cell_width(order: int) -> float:
    """Square root of the area of a cell, in degrees."""
    return float(np.degrees(np.sqrt(4.0 * np.pi / 12.0))) / float(1 << order)


def merge_ranges(start: IntArray, stop: IntArray) -> IntArray:
    """Half-open ranges joined where they touch or overlap.

    Parameters
    ----------
    start, stop : ndarray of int64, shape (n,)
        In any order.

    Returns
    -------
    ndarray of int64, shape (m, 2)
        Sorted, with a gap between any two.
    """
    if start.size == 0:
        return np.empty((0, 2), np.int64)
    order = np.argsort(start, kind="stable")
    start, reach = start[order], np.maximum.accumulate(stop[order])
    first = np.concatenate([[True], start[1:] > reach[:-1]])
    last = np.concatenate([first[1:], [True]])
    return np.column_stack([start[first], reach[last]])


def in_ranges(hpx: IntArray, ranges: IntArray) -> npt.NDArray[np.bool_]:
    """Whether order-29 cells lie in a region.

    Parameters
    ----------
    hpx : ndarray of int64, shape (n,)
        Order-29 NESTED; a negative one lies nowhere.
    ranges : ndarray of int64, shape (m, 2)
        Half-open ranges as `merge_ranges` gives them.
    """
    return np.asarray(np.searchsorted(ranges.ravel(), hpx, side="right") % 2 == 1, np.bool_)


def cone_ranges(ra: float, dec: float, radius: float) -> IntArray:
    """Order-29 ranges that together cover a cone, and a rim of a fraction of its radius around it.

    What lies in the ranges still has to be compared with `separation`; what lies outside them is outside the cone.

    Parameters
    ----------
    ra, dec, radius : float
        Degrees.

    Returns
    -------
    ndarray of int64, shape (m, 2)
        Sorted half-open ranges, some tens of them.

    Raises
    ------
    ValueError
        The position is off the sphere, or the radius is negative or not finite.
    """
    if not (np.isfinite(ra) and abs(dec) <= 90.0 and np.isfinite(radius) and radius >= 0.0):
        message = f"no cone at ra {ra}, dec {dec} of radius {radius}: degrees, declination within ±90, radius not negative"
        raise ValueError(message)
    if radius >= 180.0:
        return np.array([[0, NPIX29]], np.int64)
    width = max(radius / 4.0, cell_width(_FINEST_CONE))
    order = int(np.clip(np.ceil(np.log2(cell_width(0) / width)), 0, _FINEST_CONE))
    import healpy  # noqa: PLC0415

    centre = healpy.ang2vec(ra % 360.0, dec, lonlat=True)
    cells = healpy.query_disc(1 << order, centre, np.radians(radius), inclusive=True, fact=4, nest=True).astype(np.int64)
    shift = 2 * (ORDER - order)
    return merge_ranges(cells << shift, (cells + 1) << shift)
