"""Coverage maps (MOC 2.0, IVOA REC 2022-07-27) out of FITS, JSON and ASCII, told apart by their content.

Read by ourselves: what comes from outside may be damaged, and mocpy's readers end in panics of the library beneath it.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import warnings
import zlib
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from broker.errors import UsageError
from broker.science.sky import NPIX29, ORDER, merge_ranges

__all__ = ["order_of", "read_moc"]

IntArray = npt.NDArray[np.int64]

_LARGEST: Final = 1 << 28  # bytes, unpacked
_MOST: Final = 5_000_000  # cells and ranges of cells that are written out: each takes a hundred bytes while it is read
_TOKEN: Final = re.compile(r"(?:(\d{1,2})/)?(?:(\d{1,19})(?:-(\d{1,19}))?)?")


def read_moc(data: bytes) -> IntArray:
    """Ranges of a spatial MOC; FITS may be gzipped, and cells may overlap or repeat.

    Returns
    -------
    ndarray of int64, shape (n, 2)
        Half-open ranges of order-29 NESTED cells, sorted, with a gap between any two; none for an empty MOC.

    Raises
    ------
    UsageError
        It is no spatial MOC; the text says what is wrong.
    """
    if data.startswith(b"\x1f\x8b"):
        data = _unpacked(data)
    if data.startswith(b"SIMPLE  ="):
        start, stop = _of_fits(data)
    else:
        try:
            text = data.decode("ascii").strip()
        except UnicodeDecodeError:
            raise UsageError("no MOC: it is neither FITS nor text, as JSON and ASCII MOCs are") from None
        start, stop = _of_json(text) if text.startswith(("{", "[")) else _of_ascii(text)
    if start.size and (start.min() < 0 or stop.max() > NPIX29):
        raise UsageError("no MOC: a cell has a number that its order does not have")
    return merge_ranges(start[start < stop], stop[start < stop])


def order_of(ranges: IntArray) -> int:
    """Coarsest order whose cells make up order-29 ranges exactly."""
    bits = int(np.bitwise_or.reduce(ranges, axis=None)) if ranges.size else 0
    zeros = (bits & -bits).bit_length() - 1 if bits else 2 * ORDER
    return max(0, ORDER - zeros // 2)


def _unpacked(data: bytes) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            unpacked = file.read(_LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"no MOC: it cannot be unpacked: {error}") from error
    if len(unpacked) > _LARGEST:
        raise UsageError(f"no MOC: it is larger than {_LARGEST:,} bytes unpacked")
    return unpacked


def _column(data: bytes) -> tuple[npt.NDArray[Any], dict[str, str]]:
    """The one column of the table of a FITS file, and its header."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # astropy warns of harmless departures from the standard
            warnings.filterwarnings("error", message=".*truncated")
            with fits.open(io.BytesIO(data), memmap=False) as hdus:
                table = next((hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU)), None)
                header = {} if table is None else {key: str(value).strip().upper() for key, value in table.header.items()}
                names = [] if table is None else [str(name) for name in table.columns.names]
                varies = re.match(
                    r"\d*[PQ]", header.get("TFORM1", "")
                )  # each row of such a column may stand for the same bytes
                single = len(names) == 1 and not varies
                column = np.asarray(table.data.field(0)) if table is not None and single else None
    except Exception as error:  # astropy raises whatever it stumbles over
        raise UsageError(f"no MOC: FITS that cannot be read ({type(error).__name__}: {error})") from error
    if varies:
        raise UsageError("no MOC: its column holds lists of differing length")
    if column is None:
        raise UsageError(
            f"no MOC: a FITS MOC has one table of one column, this has columns {', '.join(names)}"
            if names
            else "no MOC: a FITS MOC has a table, this file has none"
        )
    if column.dtype.kind not in "iu":
        raise UsageError(f"no MOC: its column {names[0]} holds no whole numbers")
    return column, header


def _of_fits(data: bytes) -> tuple[IntArray, IntArray]:
    column, header = _column(data)
    kind, frame = header.get("MOCDIM", "SPACE"), header.get("COORDSYS", "C")
    if kind != "SPACE":
        raise UsageError(f"no MOC of the sky: its MOCDIM is {kind}")
    if frame != "C":
        raise UsageError(f"its COORDSYS is {frame}: only C, celestial (ICRS), is taken")
    values, ordering = column.astype(np.int64).ravel(), header.get("ORDERING", "NUNIQ")
    if ordering.startswith("RANGE"):
        if values.size % 2:
            raise UsageError("no MOC: its ranges do not come in pairs")
        return values[0::2], values[1::2]
    if ordering not in {"NUNIQ", "UNIQ"}:
        raise UsageError(f"no MOC: its ORDERING is {ordering}, wanted is NUNIQ or RANGE")
    if values.size and values.min() < 4:
        raise UsageError(f"no MOC: {int(values.min())} is no UNIQ number of a cell")
    order = (np.frexp(values.astype(np.float64))[1].astype(np.int64) - 1) // 2 - 1
    order -= (np.int64(4) << np.minimum(2 * order, 60)) > values  # the float nearest to a number can be a power of 2 above it
    if values.size and order.max() > ORDER:
        raise UsageError("no MOC: a cell has a finer order than 29")
    return _at_29(values - (np.int64(4) << (2 * order)), 1 + values - (np.int64(4) << (2 * order)), order)


def _of_json(text: str) -> tuple[IntArray, IntArray]:
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"no MOC: not JSON: {error}") from error
    if not isinstance(document, dict):
        raise UsageError('no MOC: a JSON MOC is an object such as {"3": [5, 6], "5": [1000]}')
    cells: list[tuple[int, int, int]] = []
    for key, numbers in document.items():
        if not re.fullmatch(r"\d{1,2}", key) or not isinstance(numbers, list):
            raise UsageError(f'no MOC: {key!r} is no order with a list of cells, as in {{"3": [5, 6]}}')
        if any(type(number) is not int or not 0 <= number < 2**62 for number in numbers):
            raise UsageError(f"no MOC: the cells of order {key} are not all numbers of cells")
        if len(cells) + len(numbers) > _MOST:
            raise _too_many()
        cells += [(int(key), number, number) for number in numbers]
    return _listed(cells)


def _of_ascii(text: str) -> tuple[IntArray, IntArray]:
    cells: list[tuple[int, int, int]] = []
    order: int | None = None
    for match in re.finditer(r"[^\s,]+", text.replace("/ ", "/")):
        token = match[0]
        found = _TOKEN.fullmatch(token)
        if found is None or (found[1] is None and order is None):
            raise UsageError(f"no MOC: {token[:40]!r} is no cell; an ASCII MOC looks like 3/5-7 9 5/1000")
        order = int(found[1]) if found[1] is not None else order
        if found[2] is not None and order is not None:
            if len(cells) == _MOST:
                raise _too_many()
            cells.append((order, int(found[2]), int(found[3] or found[2])))
    return _listed(cells)


def _listed(cells: list[tuple[int, int, int]]) -> tuple[IntArray, IntArray]:
    """Start and stop of order, first and last cell; all are looked at before they become 64-bit numbers."""
    for order, first, last in cells:
        if order > ORDER:
            raise UsageError(f"no MOC: order {order}; there are 0 to {ORDER}")
        if not first <= last < 12 << (2 * order):
            raise UsageError(f"no MOC: order {order} has no cells {first} to {last}, only 0 to {(12 << (2 * order)) - 1}")
    table = np.array(cells, np.int64).reshape(-1, 3)
    return _at_29(table[:, 1], table[:, 2] + 1, table[:, 0])


def _too_many() -> UsageError:
    return UsageError(f"more than {_MOST:,} cells in JSON or text: send the MOC as FITS")


def _at_29(start: IntArray, stop: IntArray, order: IntArray) -> tuple[IntArray, IntArray]:
    shift = 2 * (ORDER - order)
    return start << shift, stop << shift
