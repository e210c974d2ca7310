"""What is refused of tables sent to us before a reader sees it: what asks for other files, or for far more memory than it has.

The readers trust their files: astropy fetches what a VOTable points at, from the network and from our own disk, and every
format can say in a few bytes that something is repeated for ever.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from math import prod
from typing import Any, Final

import polars as pl

from broker.errors import UsageError

__all__ = ["check_csv", "check_header", "check_text", "check_votable", "first_table", "read_parquet"]
__all__ += ["unpacked"]

_LARGEST: Final = 1 << 29  # bytes, unpacked
_COLUMNS: Final = 10_000
_HEADER: Final = 1 << 20  # letters
_TEXT: Final = 2_000  # bytes of one value
_TABLES: Final = 100  # parts of a FITS file before its table
_BREAKS: Final = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"  # as str.splitlines has them

# A start tag holds no other "<", whatever its attributes are.
_LINK: Final = re.compile(rb"<(?:[^\s<>/]+:)?STREAM\s[^<]*?href\s*=")
_ENCODING: Final = re.compile(rb"<\?xml[^<]*?encoding\s*=\s*[\"']([^\"'<]*)")
_READ: Final = re.compile(rb"(?i)utf-?8|us-ascii|ascii|iso-8859-1|latin-?1")
_ARRAY: Final = re.compile(rb"arraysize\s*=\s*(?:\"([^\"<]*)\"|'([^'<]*)')")
_ROW: Final = re.compile(rb"<(?:[^\s<>/]+:)?TR[\s/>]")


def unpacked(data: bytes) -> bytes:
    """The bytes, out of gzip where they are in it."""
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            unpacked = file.read(_LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"it cannot be unpacked: {error}") from error
    if len(unpacked) > _LARGEST:
        raise UsageError(f"it is larger than {_LARGEST:,} bytes unpacked")
    return unpacked


def check_votable(data: bytes) -> None:
    """Refuse a VOTable that points elsewhere, declares entities, or declares arrays that no memory holds."""
    encoding = _ENCODING.match(data)
    if b"\0" in data or (encoding is not None and not _READ.fullmatch(encoding[1])):
        raise UsageError("a VOTable is read in UTF-8 alone: save it so")
    if b"<!ENTITY" in data:
        raise UsageError("a VOTable that declares entities is not read")
    if _LINK.search(data):
        raise UsageError("a VOTable whose data are elsewhere (STREAM with href) is not read: save it with its data inside")
    sizes = [double or single for double, single in _ARRAY.findall(data)]
    if any(b"&" in size for size in sizes):
        raise UsageError("a VOTable has an arraysize that is no number")
    width = sum(prod(int(number[:20]) for number in re.findall(rb"\d+", size)) for size in sizes)
    if 8 * width * (256 + len(_ROW.findall(data))) > 4 * _LARGEST:
        raise UsageError("a VOTable declares arrays larger than are read: leave out the columns that hold them")


def first_table(data: bytes, most: int) -> Any:
    """The first table of a FITS file, as astropy has it, if it can be read in the memory that its size tells of."""
    from astropy.io import fits  # noqa: PLC0415 - half a second that CSV does without

    for number, hdu in enumerate(fits.open(io.BytesIO(data), memmap=False)):
        if number > _TABLES:
            break
        if not isinstance(hdu, fits.BinTableHDU | fits.TableHDU):
            continue
        if hdu.header.get("NAXIS2", 0) > most:
            raise UsageError(f"{hdu.header['NAXIS2']:,} targets: more than {most:,} are a catalogue, `nuncius catalog add`")
        varying = [key for key, form in hdu.header.get("TFORM*", {}).items() if re.match(r"\s*\d*[PQ]", str(form))]
        if varying:  # each of its rows may stand for the same bytes
            raise UsageError(f"its column {varying[0][5:]} holds lists of differing length ({varying[0]}): leave it out")
        return hdu
    raise UsageError("FITS without a table")


def read_parquet(data: bytes, wanted: frozenset[str], most: int) -> pl.DataFrame:
    """Columns called as one of those wanted, in lower case; the others are there, and null."""
    schema = pl.read_parquet_schema(io.BytesIO(data))
    _check_columns(len(schema))
    rows = pl.scan_parquet(io.BytesIO(data)).select(pl.len()).collect().item()
    if rows > most:  # a page of Parquet may say of one value that it comes a thousand million times
        raise UsageError(f"{rows:,} targets: more than {most:,} are a catalogue, `nuncius catalog add`")
    named = [name for name in schema if name.strip().lower() in wanted]
    table = pl.read_parquet(io.BytesIO(data), columns=named) if named else pl.DataFrame()
    return table.with_columns(pl.lit(None).alias(name) for name in schema if name not in named)


def check_csv(text: str, most: int) -> None:
    """Refuse a table of more lines or columns than are taken, before it is cut into them."""
    lines = sum(text.count(letter) for letter in _BREAKS)
    if lines > 2 * most + _COLUMNS:  # a line may end in two of them
        raise UsageError(f"more than {most:,} lines are a catalogue, `nuncius catalog add`")


def check_header(line: str, separator: str) -> None:
    """Refuse a line of names that is too long, or has more columns than are taken."""
    if len(line) > _HEADER:
        raise UsageError(f"its first line has {len(line):,} letters: it is to hold the names of the columns")
    _check_columns(line.count(separator) + 1)


def check_text(column: pl.Series, called: str) -> None:
    """Refuse values longer than any name or number is."""
    if column.dtype not in {pl.String, pl.Binary}:
        return
    sizes = column.str.len_bytes() if column.dtype == pl.String else column.bin.size()
    rows = (sizes > _TEXT).arg_true()
    if len(rows):
        raise UsageError(f"row {rows[0] + 1}, column {called!r} is longer than {_TEXT:,} bytes")


def _check_columns(count: int) -> None:
    if count > _COLUMNS:
        raise UsageError(f"it has {count:,} columns, up to {_COLUMNS:,} are read: leave out those that say nothing of targets")
