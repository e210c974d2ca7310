"""Sky maps out of FITS: flat and multi-order, NESTED and RING, 2D and 3D, plain and gzipped.

The table is read in pieces, and neighbouring cells of one value become one range as they come: a flat map of 50 million cells
that was made from 19,200 costs the memory of these. Formats: "HEALPix in FITS" and the LIGO/Virgo/KAGRA user guide.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import numpy.typing as npt

from broker.errors import SkyMapError
from broker.science.fits_table import Column, Header, Table, find_table, pieces
from broker.science.sky import CELL_AREA, ORDER
from broker.science.skymap import Facts, SkyMap, build

__all__ = ["read_skymap"]

MAX_BYTES: Final = 1 << 31
"""Uncompressed size of the largest table that is read."""
MAX_CELLS: Final = 1 << 24
"""Cells of the largest map that is held, those counted as one that are neighbours and alike: with them it takes some 2 GB."""

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_PROBABILITY = ("PROBDENSITY", "PROB", "PROBABILITY", "T", "TEMPERATURE")
_DISTANCE = ("DISTMU", "DISTSIGMA", "DISTNORM")
_PIXEL = ("PIXEL", "PIX", "IPIX", "HPXINDEX")
_UNSEEN = -1.6375e30  # healpy's mark of a cell without a value
_MAX_RING = 1 << 26  # values of a RING map, which has to be in memory as a whole
_EMPTY = np.empty(0)


def read_skymap(source: bytes | Path, *, max_bytes: int = MAX_BYTES) -> SkyMap:
    """Probability map out of a FITS file or its bytes.

    Parameters
    ----------
    source
        A file, or its contents; gzip is told by content.
    max_bytes
        Uncompressed size of the table beyond which a map is refused unread.

    Returns
    -------
    SkyMap
        Checked and scaled to 1.

    Raises
    ------
    SkyMapError
        It is not a probability map, or a broken one; the text says what is wrong.
    """
    from astropy.io import fits  # noqa: PLC0415 - slow to load

    try:
        with _opened(source) as stream:
            return _read(stream, max_bytes)
    except (OSError, EOFError, zlib.error, fits.VerifyError, ValueError, TypeError, MemoryError) as error:
        raise SkyMapError(f"sky map cannot be read: {error}") from error  # a broken header or a broken stream


def _opened(source: bytes | Path) -> BinaryIO:
    if isinstance(source, Path):
        with source.open("rb") as head:
            zipped = head.read(2) == b"\x1f\x8b"
        return gzip.open(source, "rb") if zipped else source.open("rb")  # type: ignore[return-value]
    return gzip.open(io.BytesIO(source), "rb") if source[:2] == b"\x1f\x8b" else io.BytesIO(source)  # type: ignore[return-value]


def _read(stream: BinaryIO, max_bytes: int) -> SkyMap:
    table = find_table(stream, lambda found: _named(found, (*_PROBABILITY, "UNIQ")) is not None)
    if table is None:
        raise SkyMapError("no table of probabilities: a sky map has a column PROBDENSITY, PROB, PROBABILITY or T")
    value = _named(table, _PROBABILITY)
    if value is None:
        raise SkyMapError("a coverage map, not a probability map: it lists cells (UNIQ) without a probability")
    if table.nbytes > max_bytes:
        raise SkyMapError(f"sky map of {table.nbytes:,} bytes is larger than the {max_bytes:,} allowed: use a multi-order map")
    _check_frame(table.header)
    uniq, pixel = _named(table, ("UNIQ",)), _named(table, _PIXEL)
    distances = [found for name in _DISTANCE if (found := _named(table, (name,))) is not None]
    columns = [value, *(distances if len(distances) == len(_DISTANCE) else [])]
    if uniq is not None:
        return _multi_order(stream, table, uniq, columns)
    return _flat(stream, table, pixel, columns)


def _named(table: Table, names: tuple[str, ...]) -> Column | None:
    return next((column for name in names for column in table.columns if column.name.upper() == name), None)


def _check_frame(header: Header) -> None:
    frame = str(header.get("COORDSYS", "C")).strip().upper()[:1]
    if frame not in {"C", "Q", "I", ""}:
        raise SkyMapError(f"sky map is in coordinates {header['COORDSYS']!r}: only celestial (COORDSYS = 'C') is read")


def _facts(header: Header, order: int) -> Facts:
    def text(key: str) -> str:
        return str(header.get(key, "")).strip()

    def number(key: str) -> float | None:
        value = header.get(key)
        return float(value) if isinstance(value, int | float) and np.isfinite(value) else None

    return Facts(
        order, text("OBJECT"), text("DATE-OBS"), text("CREATOR"), text("INSTRUME"), number("DISTMEAN"), number("DISTSTD")
    )


def _multi_order(stream: BinaryIO, table: Table, uniq: Column, columns: list[Column]) -> SkyMap:
    if uniq.kind not in "BIJK":
        raise SkyMapError(
            f"UNIQ is stored as floating point (TFORM {uniq.form!r}), which cannot hold every cell number: use 64-bit integers"
        )
    _check_cells(table.rows * uniq.repeat)
    parts = list(pieces(stream, table, [uniq, *columns]))
    if not parts:
        raise SkyMapError("sky map has no cells")
    cells = np.concatenate([part[0] for part in parts]).astype(np.int64)
    values = [np.concatenate([part[i] for part in parts]).astype(np.float64) for i in range(1, 1 + len(columns))]
    wrong = int(((cells < 4) | (cells >= 1 << 62)).sum())
    if wrong:
        raise SkyMapError(f"sky map has {wrong} cells whose UNIQ number is none")
    order = (np.frexp(cells.astype(np.float64))[1].astype(np.int64) - 1) // 2 - 1
    order -= cells < (np.int64(4) << (2 * order))  # the float nearest to 4^k - 1 is 4^k
    index = cells - (np.int64(4) << (2 * order))
    beyond = int((index >= np.int64(12) << (2 * order)).sum())
    if beyond:
        raise SkyMapError(f"sky map has {beyond} cells whose UNIQ number is none")
    shift = 2 * (ORDER - order)
    start, stop = index << shift, (index + 1) << shift
    density = _per_steradian(columns[0], _seen(values[0]), stop - start)
    return build(start, stop, density, _facts(table.header, int(order.max())), _distances(values))


def _check_cells(number: int) -> None:
    if number > MAX_CELLS:
        raise SkyMapError(
            f"sky map has more than {MAX_CELLS:,} cells that differ, too many to hold in memory: "
            "make it coarser, or a multi-order map that is fine only where it is likely"
        )


def _per_steradian(column: Column, values: FloatArray, width: IntArray | int) -> FloatArray:
    with np.errstate(over="ignore"):  # what overflows is refused as not finite
        return values if column.name.upper() == "PROBDENSITY" else values / (width * CELL_AREA)


def _seen(values: FloatArray) -> FloatArray:
    return np.where(np.abs(values / _UNSEEN - 1.0) < 1e-5, 0.0, values)


def _distances(values: list[FloatArray]) -> tuple[FloatArray, FloatArray, FloatArray] | None:
    """DISTMU, DISTSIGMA, DISTNORM; ``None`` where no cell has all three, as in maps whose distances could not be fitted."""
    if len(values) == 1:
        return None
    _, mu, sigma, norm = values
    usable = np.isfinite(mu) & np.isfinite(sigma) & (sigma > 0.0) & (norm > 0.0)
    return (mu, sigma, norm) if usable.any() else None


def _flat(stream: BinaryIO, table: Table, pixel: Column | None, columns: list[Column]) -> SkyMap:
    ordering = str(table.header.get("ORDERING", "")).strip().upper()
    if ordering not in {"NESTED", "NEST", "RING"}:
        raise SkyMapError(f"sky map has ORDERING {ordering!r}: NESTED, RING or, with a UNIQ column, NUNIQ is wanted")
    order = _order(table, columns[0], explicit=pixel is not None)
    ring = ordering == "RING"
    if pixel is not None:
        runs = _explicit(pieces(stream, table, [pixel, *columns]), order, ring=ring)
    elif ring:
        runs = _ringed(pieces(stream, table, columns), order, len(columns))
    else:
        runs = _runs(pieces(stream, table, columns))
    start, stop, values = runs
    shift = 2 * (ORDER - order)
    start <<= shift
    stop <<= shift
    density = _per_steradian(columns[0], _seen(values[0]), 1 << shift)
    return build(start, stop, density, _facts(table.header, order), _distances(values))


def _order(table: Table, value: Column, *, explicit: bool) -> int:
    """Order of a flat map from its number of cells, which has to agree with NSIDE."""
    nside = table.header.get("NSIDE")
    cells = table.rows * value.repeat
    if nside is None and not explicit:
        nside = int(np.sqrt(cells / 12))
    if not isinstance(nside, int) or nside < 1 or nside & (nside - 1) or nside > 1 << ORDER:
        raise SkyMapError(f"sky map has NSIDE {nside!r}: a power of two up to 2^29 is wanted")
    if not explicit and cells != 12 * nside * nside:
        raise SkyMapError(f"sky map of NSIDE {nside} has {cells:,} cells instead of {12 * nside * nside:,}")
    return nside.bit_length() - 1


Runs = tuple[IntArray, IntArray, list[FloatArray]]


def _runs(parts: Iterator[list[npt.NDArray[np.generic]]]) -> Runs:
    """Neighbouring cells of the same values, piece by piece, as ranges."""
    starts: list[IntArray] = []
    values: list[list[FloatArray]] = []
    done = held = 0
    for part in parts:
        columns = [column.astype(np.float64) for column in part]
        begins = _changes(columns)
        held += begins.size
        _check_cells(held)
        starts.append(begins + done)
        values.append([column[begins] for column in columns])
        done += columns[0].size
    if not starts:
        raise SkyMapError("sky map has no cells")
    start = np.concatenate(starts)
    joined: list[FloatArray] = []
    for number in range(len(values[0])):
        joined.append(np.concatenate([found[number] for found in values]))
        for found in values:
            found[number] = _EMPTY  # so that a large map is not held twice
    return start, np.append(start[1:], done), joined


def _changes(columns: list[FloatArray]) -> IntArray:
    """Where a run of equal values begins, NaN being equal to itself."""
    differs = np.zeros(columns[0].size, np.bool_)
    differs[:1] = True
    for column in columns:
        bits = column.view(np.int64)
        differs[1:] |= bits[1:] != bits[:-1]
    return np.flatnonzero(differs)


def _ringed(parts: Iterator[list[npt.NDArray[np.generic]]], order: int, n_columns: int) -> Runs:
    cells = 12 << (2 * order)
    if cells * n_columns > _MAX_RING:
        raise SkyMapError(f"sky map of {cells:,} cells in RING order is too large: store it NESTED or multi-order")
    import healpy  # noqa: PLC0415 - takes a second to load, and few verbs need it

    whole = [np.empty(cells) for _ in range(n_columns)]
    done = 0
    for part in parts:
        size = part[0].size
        nested = healpy.ring2nest(1 << order, np.arange(done, done + size))
        for target, column in zip(whole, part, strict=True):
            target[nested] = column
        done += size
    return _runs(iter([list(whole)]))


def _counted(parts: Iterator[list[npt.NDArray[np.generic]]]) -> Iterator[list[npt.NDArray[np.generic]]]:
    held = 0
    for part in parts:
        held += part[0].size
        _check_cells(held)
        yield part


def _explicit(parts: Iterator[list[npt.NDArray[np.generic]]], order: int, *, ring: bool) -> Runs:
    """Cells that are listed by number; the rest of the sky has none."""
    columns = [np.concatenate(column) for column in zip(*_counted(parts), strict=True)]
    if not columns:
        raise SkyMapError("sky map has no cells")
    index = columns[0].astype(np.int64)
    if ((index < 0) | (index >= 12 << (2 * order))).any():
        raise SkyMapError(f"sky map lists cells that NSIDE {1 << order} does not have")
    if ring:
        import healpy  # noqa: PLC0415

        index = np.asarray(healpy.ring2nest(1 << order, index), np.int64)
    return index, index + 1, [column.astype(np.float64) for column in columns[1:]]
