"""Credible regions as coverage maps (MOC 2.0, IVOA REC 2022-07-27) in FITS, JSON and ASCII, and their outlines."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, Final

import healpy
import numpy as np
import numpy.typing as npt
from astropy.coordinates import Latitude, Longitude
from astropy.io import fits
from mocpy import MOC

from broker.errors import UsageError
from broker.science.moc_read import order_of
from broker.science.sky import NPIX29, ORDER, cell_width, merge_ranges, separation
from broker.science.skymap import SkyMap, credible_ranges

__all__ = [
    "cells_of",
    "contains",
    "disc_ranges",
    "moc_of",
    "of_ranges",
    "outlines",
    "polygon_ranges",
    "to_ascii",
    "to_fits",
    "to_geojson",
    "to_json",
    "uniq_cells",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_ACROSS: Final = 256  # cells across the radius of a circle whose probability is asked for
_OUTLINED: Final = 100_000  # cells of one order an outline is drawn around


def moc_of(skymap: SkyMap, level: float) -> MOC:
    """Smallest region that holds a probability, as mocpy has it; its order is that of the map."""
    return MOC.from_depth29_ranges(skymap.facts.order, credible_ranges(skymap, level).astype(np.uint64))


def of_ranges(ranges: IntArray) -> MOC:
    """Order-29 half-open ranges, shape (n, 2), as mocpy has them."""
    return MOC.from_depth29_ranges(order_of(ranges), ranges.astype(np.uint64))


def uniq_cells(ranges: IntArray) -> IntArray:
    """The fewest HEALPix cells that make up order-29 ranges.

    Parameters
    ----------
    ranges : ndarray of int64, shape (n, 2)
        Half-open, sorted.

    Returns
    -------
    ndarray of int64, shape (m,)
        UNIQ numbers in the order of the ranges.
    """
    return cells_of(ranges)[0]


def cells_of(ranges: IntArray) -> tuple[IntArray, IntArray]:
    """`uniq_cells`, and for each the row of the range it is of."""
    low, high = ranges[:, 0].copy(), ranges[:, 1].copy()
    row = np.arange(low.size, dtype=np.int64)
    found: list[tuple[IntArray, IntArray, IntArray]] = []
    while low.size:
        # the largest cell that begins at `low`: as many zero bits as it has at its end, as wide as what is left
        order = ORDER - np.minimum(_log4(low & -low, whole=low == 0), _log4(high - low, whole=np.zeros(low.size, np.bool_)))
        shift = 2 * (ORDER - order)
        found.append((row, low, (np.int64(4) << (2 * order)) + (low >> shift)))
        low = low + (np.int64(1) << shift)
        left = low < high
        low, high, row = low[left], high[left], row[left]
    if not found:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    rows, places, cells = (np.concatenate(part) for part in zip(*found, strict=True))
    by_place = np.argsort(places, kind="stable")
    return cells[by_place], rows[by_place]


def _log4(value: IntArray, whole: npt.NDArray[np.bool_]) -> IntArray:
    """Largest k, up to 29, for which 4^k is no more than a value; 29 where `whole`."""
    bits = np.frexp(np.where(whole, 1, value).astype(np.float64))[1].astype(np.int64) - 1
    bits -= (np.int64(1) << np.minimum(bits, 62)) > np.where(whole, 1, value)  # the float nearest to 2^k - 1 is 2^k
    return np.where(whole, ORDER, np.minimum(bits // 2, ORDER))


def to_ascii(moc: MOC) -> str:
    """MOC as text, such as ``5/1-3 6/12``."""
    return str(moc.to_string(format="ascii")).replace("\n", " ").strip() + "\n"


def to_json(moc: MOC) -> dict[str, list[int]]:
    """MOC as JSON: for each order, its cells."""
    return {str(order): [int(cell) for cell in cells] for order, cells in moc.serialize("json").items()}


def to_fits(moc: MOC) -> bytes:
    """MOC as a FITS file of UNIQ numbers, which every reader knows."""
    cells = np.sort(uniq_cells(moc.to_depth29_ranges.astype(np.int64)))
    order = int(moc.max_order)
    table = fits.BinTableHDU.from_columns([fits.Column("UNIQ", "K", array=cells)])
    cards: list[tuple[str, Any, str]] = [
        ("MOCVERS", "2.0", "MOC version"),
        ("MOCDIM", "SPACE", "Physical dimension"),
        ("ORDERING", "NUNIQ", "Cells are coded by order and number"),
        ("COORDSYS", "C", "Celestial (ICRS)"),
        ("MOCORD_S", order, "Order of the smallest cells"),
        ("MOCORDER", order, "The same for MOC 1"),
        ("PIXTYPE", "HEALPIX", "HEALPix"),
        ("MOCTOOL", "Nuncius", "Program that wrote this"),
    ]
    table.header.extend(cards)
    out = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(out)
    return out.getvalue()


def contains(ranges: IntArray, skymap: SkyMap) -> float:
    """Probability of a map that lies inside a region.

    Parameters
    ----------
    ranges : ndarray of int64, shape (n, 2)
        Order-29 half-open ranges in any order, such as `broker.science.sky.cone_ranges` gives, or a MOC's.

    Returns
    -------
    float
        0 to 1; cells that the region cuts count by the part inside.
    """
    joined = merge_ranges(ranges[:, 0], ranges[:, 1])
    before = np.concatenate([[0.0], np.cumsum(skymap.prob)])

    def up_to(place: IntArray) -> FloatArray:
        row = np.searchsorted(skymap.start, place, side="right") - 1
        held = np.maximum(row, 0)
        part = np.clip((place - skymap.start[held]) / (skymap.stop[held] - skymap.start[held]), 0.0, 1.0)
        return np.where(row >= 0, before[held] + part * skymap.prob[held], 0.0)

    return float(np.clip((up_to(joined[:, 1]) - up_to(joined[:, 0])).sum(), 0.0, 1.0))


def outlines(skymap: SkyMap, level: float) -> list[FloatArray]:
    """Contours of a credible level: closed lines along the edges of the region's cells.

    Returns
    -------
    list of ndarray, each of shape (n, 2)
        Right ascension and declination in degrees; the first point comes again as the last. Holes have lines of their own.
    """
    ranges = credible_ranges(skymap, level)
    order = min(skymap.facts.order, ORDER)
    while True:
        shift = 2 * (ORDER - order)
        joined = merge_ranges(ranges[:, 0] >> shift, ((ranges[:, 1] - 1) >> shift) + 1)
        count = int((joined[:, 1] - joined[:, 0]).sum())
        if count <= _OUTLINED or order == 0:
            break
        order -= 1
    cells = np.concatenate([np.arange(low, high, dtype=np.int64) for low, high in joined])
    if cells.size == NPIX29 >> shift:
        return []
    corners = np.moveaxis(healpy.boundaries(1 << order, cells, step=1, nest=True).reshape(cells.size, 3, 4), 1, 2)
    # Corners of neighbours differ in the last digits: they are one where they round to one lattice point.
    lattice = np.round(corners.reshape(-1, 3) * min(float(1 << (order + 12)), 1e15)).astype(np.int64)
    _, first, number = np.unique(lattice, axis=0, return_index=True, return_inverse=True)
    edges = number.reshape(cells.size, 4)
    begin, end = edges.ravel(), np.roll(edges, -1, axis=1).ravel()
    keys = {(int(a), int(b)) for a, b in zip(begin, end, strict=True)}
    free = [(a, b) for a, b in zip(begin.tolist(), end.tolist(), strict=True) if (b, a) not in keys]
    return [_degrees(corners.reshape(-1, 3)[first[loop]]) for loop in _loops(free)]


def _loops(edges: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Closed lines out of directed edges."""
    after: dict[int, list[int]] = {}
    for begin, end in edges:
        after.setdefault(begin, []).append(end)
    found = []
    for begin, _ in edges:
        if not after.get(begin):
            continue
        loop = [begin]
        while after.get(loop[-1]):
            loop.append(after[loop[-1]].pop())
        found.append(loop)
    return found


def _degrees(vectors: FloatArray) -> FloatArray:
    lon, lat = healpy.vec2ang(vectors, lonlat=True)
    return np.round(np.column_stack([lon, lat]), 7)


def to_geojson(skymap: SkyMap, levels: Sequence[float]) -> dict[str, Any]:
    """Contours as GeoJSON: one feature a level, longitude being right ascension in degrees."""
    features = [
        {
            "type": "Feature",
            "properties": {"credible_level": level},
            "geometry": {"type": "MultiLineString", "coordinates": [line.tolist() for line in outlines(skymap, level)]},
        }
        for level in levels
    ]
    return {"type": "FeatureCollection", "features": features}


def disc_ranges(ra: float, dec: float, radius: float) -> IntArray:
    """Order-29 ranges of the cells whose centres lie within a circle; cells are 1/256 of its radius.

    Parameters
    ----------
    ra, dec, radius : float
        Degrees.

    Returns
    -------
    ndarray of int64, shape (n, 2)

    Raises
    ------
    UsageError
        The position is off the sphere, or the radius is impossible.
    """
    if not (np.isfinite(ra) and abs(dec) <= 90.0 and 0.0 < radius <= 180.0):
        raise UsageError(f"no circle at ra {ra}, dec {dec} of radius {radius}: degrees, within the sphere, radius up to 180")
    if radius == 180.0:
        return np.array([[0, NPIX29]], np.int64)
    order = int(np.clip(np.ceil(np.log2(cell_width(0) * _ACROSS / radius)), 0, ORDER))
    centre = healpy.ang2vec(ra % 360.0, dec, lonlat=True)
    cells = healpy.query_disc(1 << order, centre, np.radians(radius), nest=True).astype(np.int64)
    shift = 2 * (ORDER - order)
    return merge_ranges(cells << shift, (cells + 1) << shift)


def polygon_ranges(corners: Sequence[tuple[float, float]]) -> IntArray:
    """Order-29 ranges of a polygon's inside.

    Parameters
    ----------
    corners
        Right ascension and declination in degrees of three corners or more, in the order of going round; edges are great
        circles and the smaller side is the inside.

    Raises
    ------
    UsageError
        Too few corners, or one that is off the sphere.
    """
    places = np.asarray(corners, np.float64)
    if places.ndim != 2 or len(places) < 3 or not (np.isfinite(places).all() and (np.abs(places[:, 1]) <= 90.0).all()):
        raise UsageError("a polygon has three corners or more, each a right ascension and a declination in degrees")
    size = float(separation(places[0, 0], places[0, 1], places[:, 0], places[:, 1]).max())
    if size == 0.0:
        raise UsageError("the corners of the polygon are all one place")
    # Cells that the edges cut are taken whole: they are eight times as small as a circle's.
    order = int(np.clip(np.ceil(np.log2(8.0 * cell_width(0) * _ACROSS / size)), 0, ORDER))
    found = MOC.from_polygon(Longitude(places[:, 0], "deg"), Latitude(places[:, 1], "deg"), max_depth=order)
    return np.asarray(found.to_depth29_ranges, np.int64)
