"""Catalogues from tables of the user's: CSV, Parquet, VOTable or FITS with a right ascension and a declination."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import astropy.units as u
import numpy as np
import polars as pl
from astropy.coordinates import Angle
from astropy.table import Table

from broker.errors import UsageError
from broker.store.catalog_sources import Array, SourceTable, column_name, encoded

__all__ = ["read_table"]

_RA: Final = ("ra", "ra_deg", "radeg", "raj2000", "_raj2000", "ra_icrs", "ra_j2000", "right_ascension", "meanra", "ramean")
_DEC: Final = ("dec", "dec_deg", "decdeg", "dedeg", "dej2000", "_dej2000", "decj2000", "de_icrs", "dec_icrs", "dec_j2000",
               "decl", "declination", "meandec", "decmean")  # fmt: skip
_IDENT: Final = ("id", "source_id", "objid", "object_id", "name", "main_id", "designation", "source_name", "source")
_KEPT: Final = 6


def read_table(
    name: str, source: Path, *, radius: float, columns: Sequence[str] | None, header: Sequence[str] | None = None
) -> SourceTable:
    """Table of positions; names of columns are compared without regard to case.

    Parameters
    ----------
    radius
        Arcseconds within which an alert is matched to an object.
    columns
        Which to keep; ``None`` for the first six that are neither position nor name.
    header
        Names of the columns of a CSV file whose first line has none.

    Raises
    ------
    UsageError
        There is no such file, it cannot be read, or lacks a position or a column.
    """
    if not source.is_file():
        raise UsageError(f"catalogue {name!r}: no file {source}")
    if not (np.isfinite(radius) and 0.0 < radius <= 3600.0):
        raise UsageError(f"catalogue {name!r}: a match radius of {radius} arcsec is impossible; give 0 to 3600")
    try:
        frame, units = _frame(source, header)
    except UsageError:
        raise
    except Exception as error:  # each reader has errors of its own
        raise UsageError(f"catalogue {name!r}: {source.name} cannot be read: {error}") from error
    lower = {column.lower(): column for column in reversed(frame.columns)}
    ra, dec = (_position(name, source, frame, lower, names) for names in (_RA, _DEC))
    ident = next((lower[key] for key in _IDENT if key in lower), None)
    used = {ident, *(lower[key] for key in (*_RA, *_DEC) if key in lower)}
    kept = list(columns) if columns is not None else [column for column in frame.columns if column not in used][:_KEPT]
    if missing := [column for column in kept if column not in frame.columns]:
        raise UsageError(f"catalogue {name!r}: {source.name} has no column {missing[0]!r}; it has {', '.join(frame.columns)}")
    return SourceTable(
        ra=ra,
        dec=dec,
        radius=np.full(frame.height, radius),
        ident=_array(frame[ident]) if ident else np.arange(frame.height),
        columns={column_name(column): _array(frame[column]) for column in kept},
        units={column_name(column): units[column] for column in kept if units.get(column)},
        facts={"source": source.name, "match": f"nearest within {radius:g} arcsec"},
    )


def _frame(source: Path, header: Sequence[str] | None) -> tuple[pl.DataFrame, dict[str, str]]:
    kind = next((suffix for suffix in reversed(source.suffixes) if suffix != ".gz"), "").lower()
    if kind in {".csv", ".tsv", ".txt"}:
        separator = "\t" if kind == ".tsv" else ","
        frame = pl.read_csv(
            source, separator=separator, has_header=header is None, infer_schema_length=10_000, truncate_ragged_lines=True
        )
        if header is not None and len(header) != frame.width:
            raise UsageError(f"{source.name} has {frame.width} columns, but {len(header)} are named: {', '.join(header)}")
        return frame if header is None else frame.rename(dict(zip(frame.columns, header, strict=True))), {}
    if header is not None:
        raise UsageError(f"{source.name} names its columns itself: only those of .csv, .tsv and .txt are named by hand")
    if kind in {".parquet", ".pq"}:
        return pl.read_parquet(source), {}
    formats = {".xml": "votable", ".vot": "votable", ".votable": "votable", ".fits": "fits", ".fit": "fits"}
    if kind not in formats:
        raise UsageError(f"a table ends in .csv, .tsv, .parquet, .vot, .xml or .fits; {source.name} does not")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # astropy warns of harmless departures from the standards
        table = Table.read(source, format=formats[kind])
    flat = [column for column in table.columns if table[column].ndim == 1]
    frame = pl.DataFrame({column: _series(table[column]) for column in flat})
    return frame, {column: str(table[column].unit or "") for column in flat}


def _series(column: Table.Column) -> pl.Series:
    masked = np.ma.getmaskarray(column)
    values = np.ma.getdata(column)
    listed = [None if hidden else value for value, hidden in zip(values.tolist(), masked, strict=True)]
    return pl.Series(
        [value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in listed], strict=False
    )


def _position(name: str, source: Path, frame: pl.DataFrame, lower: dict[str, str], names: tuple[str, ...]) -> Array:
    found = next((lower[key] for key in names if key in lower), None)
    if found is None:
        if any(_is_number(column) for column in frame.columns):
            raise UsageError(
                f"catalogue {name!r}: {source.name} has no header, for its first line holds numbers: name its "
                f"{frame.width} columns, as in --header name,ra,dec"
            )
        raise UsageError(f"catalogue {name!r}: {source.name} has no column {names[0]!r}; it has {', '.join(frame.columns)}")
    column = frame[found]
    if column.dtype != pl.String:
        return column.cast(pl.Float64).fill_null(np.nan).to_numpy()
    degrees = column.str.strip_chars().cast(pl.Float64, strict=False)
    if degrees.null_count() == column.null_count():
        return degrees.fill_null(np.nan).to_numpy()
    unit = u.hourangle if names is _RA else u.deg
    try:
        return np.array([Angle(text, unit=unit).deg if text else np.nan for text in column.str.strip_chars()], np.float64)
    except ValueError as error:
        raise UsageError(f"catalogue {name!r}: column {found!r} of {source.name} is no angle: {error}") from error


def _array(column: pl.Series) -> Array:
    if column.dtype.is_integer() and column.null_count() == 0 and column.dtype != pl.UInt64:
        return column.cast(pl.Int64).to_numpy()
    if column.dtype.is_numeric():
        return column.cast(pl.Float64).fill_null(np.nan).to_numpy()
    return encoded(column.cast(pl.String))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
