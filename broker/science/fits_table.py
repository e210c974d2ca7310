"""Binary tables of FITS, read from a stream in pieces. Only what sky maps need (FITS standard 4.0, section 7.3)."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from broker.errors import SkyMapError

if TYPE_CHECKING:
    from astropy.io import fits

__all__ = ["Column", "Header", "Table", "find_table", "pieces"]

Header = Mapping[str, Any]

_BLOCK: Final = 2880
_MAX_HEADER: Final = 400 * _BLOCK
_MAX_SKIPPED: Final = 1 << 30
_PIECE: Final = 1 << 24
_MAX_ROW: Final = 1 << 26
_DTYPES: Final = {"L": "i1", "B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}
_WIDTHS: Final = {"L": 1, "X": 0, "B": 1, "I": 2, "J": 4, "K": 8, "A": 1, "E": 4, "D": 8, "C": 8, "M": 16, "P": 8, "Q": 16}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Parameters
    ----------
    name, form
        ``TTYPE`` and ``TFORM`` as written.
    kind
        The letter of the form.
    repeat
        Values a row.
    offset
        Bytes from the start of a row.
    scale, zero
        ``TSCAL`` and ``TZERO``.
    """

    name: str
    form: str
    kind: str
    repeat: int
    offset: int
    scale: float = 1.0
    zero: float = 0.0


@dataclass(frozen=True, slots=True)
class Table:
    """A binary table whose data the stream stands at."""

    header: Header
    columns: tuple[Column, ...]
    rows: int
    row_bytes: int

    @property
    def nbytes(self) -> int:
        """Size of the table's data."""
        return self.rows * self.row_bytes


def find_table(stream: BinaryIO, wanted: Callable[[Table], bool]) -> Table | None:
    """First binary table that is wanted; the stream then stands at its data.

    Raises
    ------
    SkyMapError
        The stream is not FITS, or a header is broken or ends early.
    """
    first = True
    while (header := _header(stream, first=first)) is not None:
        if str(header.get("XTENSION", "")).strip() == "BINTABLE":
            table = _table(header)
            if wanted(table):
                return table
        _skip(stream, header)
        first = False
    return None


def _header(stream: BinaryIO, *, first: bool) -> fits.Header | None:
    text = bytearray()
    while True:
        block = stream.read(_BLOCK)
        if not text and len(block) < 80 and not first:
            return None
        if not text and not block.startswith(b"SIMPLE  =" if first else b"XTENSION="):
            if first:
                raise SkyMapError("not a FITS file: it does not begin with SIMPLE")
            return None
        text += block
        if re.search(rb"^(?:.{80})*?END {77}", bytes(text[-_BLOCK:]), re.DOTALL):
            break
        if len(block) < _BLOCK or len(text) > _MAX_HEADER:
            raise SkyMapError("FITS header has no END: the file is truncated or broken")
    from astropy.io import fits  # noqa: PLC0415 - slow to load

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # astropy warns of harmless departures from the standard
        return fits.Header.fromstring(bytes(text).decode("ascii", "replace"))


def _integer(header: Header, key: str) -> int:
    value = header.get(key)
    if not isinstance(value, int) or value < 0:
        raise SkyMapError(f"FITS header has {key} = {value!r}: a number that is not negative is wanted")
    return value


def _data_bytes(header: Header) -> int:
    axes = [_integer(header, f"NAXIS{i + 1}") for i in range(min(_integer(header, "NAXIS"), 999))]
    if not axes:
        return 0
    values = int(np.prod(np.array(axes, object)))
    return abs(int(header.get("BITPIX", 8))) // 8 * int(header.get("GCOUNT", 1)) * (int(header.get("PCOUNT", 0)) + values)


def _skip(stream: BinaryIO, header: Header) -> None:
    left = -(-_data_bytes(header) // _BLOCK) * _BLOCK
    if left > _MAX_SKIPPED:
        raise SkyMapError(f"FITS file has {left:,} bytes before any table of probabilities")
    while left > 0 and (block := stream.read(min(left, _PIECE))):
        left -= len(block)


def _table(header: Header) -> Table:
    columns: list[Column] = []
    offset = 0
    for number in range(1, min(_integer(header, "TFIELDS"), 999) + 1):
        form = str(header.get(f"TFORM{number}", "")).strip()
        match = re.match(r"(\d*)([A-Z])", form)
        if match is None or match[2] not in _WIDTHS:
            raise SkyMapError(f"FITS table has column {number} of unknown form {form!r}")
        repeat = int(match[1] or 1)
        name = str(header.get(f"TTYPE{number}", "")).strip()
        scale, zero = float(header.get(f"TSCAL{number}", 1.0)), float(header.get(f"TZERO{number}", 0.0))
        columns.append(Column(name, form, match[2], repeat, offset, scale, zero))
        offset += -(-repeat // 8) if match[2] == "X" else repeat * _WIDTHS[match[2]]
    row_bytes = _integer(header, "NAXIS1")
    if offset != row_bytes:
        raise SkyMapError(f"FITS table has rows of {row_bytes} bytes, but its columns take {offset}")
    return Table(header, tuple(columns), _integer(header, "NAXIS2"), row_bytes)


def pieces(stream: BinaryIO, table: Table, columns: Sequence[Column]) -> Iterator[list[npt.NDArray[np.generic]]]:
    """Values of the columns, some megabytes of rows at a time, each flattened to one dimension.

    Raises
    ------
    SkyMapError
        A column is not numeric, or differs from the first in its number of values, or the data end early.
    """
    for column in columns:
        if column.kind not in _DTYPES:
            raise SkyMapError(f"column {column.name!r} is not numeric (TFORM {column.form!r})")
        if column.repeat != columns[0].repeat or column.repeat == 0:
            raise SkyMapError(f"columns {columns[0].name!r} and {column.name!r} differ in length, or are empty")
    if table.row_bytes > _MAX_ROW:
        raise SkyMapError(f"FITS table has rows of {table.row_bytes:,} bytes: more than {_MAX_ROW:,} are not read at once")
    row = np.dtype(
        {
            "names": [str(i) for i in range(len(columns))],
            "formats": [(_DTYPES[column.kind], (column.repeat,)) for column in columns],
            "offsets": [column.offset for column in columns],
            "itemsize": table.row_bytes,
        }
    )
    step = max(1, _PIECE // max(table.row_bytes, 1))
    for done in range(0, table.rows, step):
        wanted = min(step, table.rows - done) * table.row_bytes
        block = stream.read(wanted)
        if len(block) < wanted:
            raise SkyMapError(
                f"sky map is truncated: {done + len(block) // table.row_bytes:,} of {table.rows:,} rows are there"
            )
        rows = np.frombuffer(block, row)
        yield [_scaled(column, rows[str(i)].reshape(-1)) for i, column in enumerate(columns)]


def _scaled(column: Column, values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    if column.scale == 1.0 and column.zero == 0.0:
        return values.astype(values.dtype.newbyteorder("="))
    if column.kind in "BIJK" and column.scale == 1.0 and column.zero.is_integer():
        return values.astype(np.int64) + int(column.zero)  # exact: how FITS stores unsigned integers
    return values.astype(np.float64) * column.scale + column.zero
