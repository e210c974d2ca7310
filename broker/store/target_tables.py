"""Tables of targets as people have them: CSV, VOTable, FITS or Parquet, told apart by content, checked row by row."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

import numpy as np
import polars as pl

from broker.errors import UsageError
from broker.store.target_guard import check_csv, check_header, check_text, check_votable, first_table, read_parquet, unpacked

__all__ = ["LARGEST_RADIUS", "SCHEMA", "TargetTable", "check_radius", "checked", "read_targets"]

SCHEMA: Final = {"id": pl.String, "ra": pl.Float64, "dec": pl.Float64, "radius": pl.Float64}
"""Columns of targets: degrees, ICRS, and arcseconds; a null radius is the list's own."""

LARGEST_RADIUS: Final = 36_000.0  # arcsec: larger ones are regions

_MOST: Final = 10_000_000
_HEAD: Final = 1 << 16
_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "ra": ("ra", "ra_deg", "radeg", "raj2000", "_raj2000", "ra_icrs", "ra_j2000", "right_ascension", "meanra", "ramean"),
    "dec": ("dec", "dec_deg", "decdeg", "dedeg", "dej2000", "_dej2000", "decj2000", "de_icrs", "dec_icrs", "dec_j2000", "decl",
            "de", "declination", "meandec", "decmean"),
    "id": ("id", "name", "target", "target_id", "target_name", "source_id", "objid", "object_id", "objectid", "object",
           "main_id", "designation", "source_name", "source", "iauname", "iau_name"),
    "radius": ("radius", "radius_arcsec", "match_radius", "radius_arcmin", "radius_deg"),
}  # fmt: skip
"""What each column may be called, without regard to case; of several that are there the first is taken."""

_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d*)?")
_ARCSEC: Final = {"radius_arcmin": 60.0, "radius_deg": 3600.0}
_SEXAGESIMAL: Final = re.compile(
    r"([+-]?)(\d{1,3})(?:[:\s]\s*|[hd°]\s*)([0-5]?\d)(?:[:\s]\s*|[m'′]\s*)([0-5]?\d(?:\.\d*)?)\s*[s\"″]?"  # noqa: RUF001 - primes are what people paste
)


@dataclass(frozen=True, slots=True)
class TargetTable:
    """Targets read from a file.

    Parameters
    ----------
    frame
        A row a target, with columns as `SCHEMA` has them.
    ignored
        Columns of the file that say nothing of where targets are or what they are called.
    """

    frame: pl.DataFrame
    ignored: tuple[str, ...] = ()

    @property
    def repeated(self) -> int:
        """Rows whose id an earlier row has, too: they are kept, and change and go together."""
        return self.frame.height - self.frame["id"].n_unique()


def read_targets(data: bytes, name: str) -> TargetTable:
    """Targets of a file's bytes; CSV, VOTable, FITS or Parquet, gzipped or not, whatever the file is called.

    Parameters
    ----------
    name
        What errors call it.

    Raises
    ------
    UsageError
        It cannot be read, has no positions, no rows, or a row that cannot be; the row and column are named.
    """
    try:
        table, units = _read(unpacked(data))
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from error
    except Exception as error:  # each reader has errors of its own
        raise UsageError(f"{name} cannot be read as a table: {' '.join(str(error).split())[:300]}") from error
    try:
        chosen, ignored = _chosen(table.columns)
        for column in chosen.values():
            check_text(table[column], column)
        columns = {kind: _degrees(table[column], kind, column, units.get(column, "")) for kind, column in chosen.items()
                   if kind in {"ra", "dec"}}  # fmt: skip
        if "radius" in chosen:
            columns["radius"] = _arcseconds(table[chosen["radius"]], chosen["radius"], units.get(chosen["radius"], ""))
        if "id" in chosen:
            columns["id"] = _names(table[chosen["id"]], chosen["id"])
        return TargetTable(checked(pl.DataFrame(columns), chosen), ignored)
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from error


def checked(table: pl.DataFrame, called: Mapping[str, str] | None = None) -> pl.DataFrame:
    """Targets as `SCHEMA` has them, every one of which can be.

    Parameters
    ----------
    table
        Columns ``ra`` and ``dec``, perhaps ``id`` and ``radius``.
    called
        What errors are to call the columns.

    Raises
    ------
    UsageError
        There are none, or too many, or one cannot be; the row, counted from 1, and the column are named.
    """
    if table.is_empty():
        raise UsageError("there is no target in it: a list has one at least")
    if table.height > _MOST:
        raise UsageError(f"{table.height:,} targets: more than {_MOST:,} are a catalogue, `nuncius catalog add`")
    bounds = {"ra": (0.0, 360.0, "degrees, 0 to 360"), "dec": (-90.0, 90.0, "degrees, -90 to 90")}
    radius = table["radius"] if "radius" in table.columns else pl.Series("radius", [None] * table.height, dtype=pl.Float64)
    for kind, (least, most, wanted) in bounds.items():
        values = table[kind].fill_null(np.nan).to_numpy()
        _refuse(~((values >= least) & (values <= most)), table[kind], (called or {}).get(kind, kind), wanted)
    values = radius.fill_null(1.0).to_numpy()  # one that is not given is the list's own
    _refuse(
        ~((values > 0.0) & (values <= LARGEST_RADIUS)),
        radius,
        (called or {}).get("radius", "radius"),
        f"arcseconds, above 0 and up to {LARGEST_RADIUS:g} (10 degrees); larger ones are regions, `nuncius region add`",
    )
    numbers = pl.int_range(1, table.height + 1, eager=True).cast(pl.String)
    ids = (
        table["id"].cast(pl.String).str.strip_chars().replace("", None).fill_null(numbers) if "id" in table.columns else numbers
    )
    return pl.DataFrame(
        {"id": ids, "ra": table["ra"] % 360.0, "dec": table["dec"], "radius": radius}, schema_overrides=SCHEMA
    ).select(*SCHEMA)


def check_radius(radius: float) -> float:
    """A list's own radius, arcseconds; `UsageError` where it cannot be."""
    if 0.0 < radius <= LARGEST_RADIUS:
        return float(radius)
    raise UsageError(f"a radius of {radius:g} arcsec is impossible: give above 0 and up to {LARGEST_RADIUS:g} (10 degrees)")


def _refuse(wrong: np.ndarray[Any, np.dtype[np.bool_]], column: pl.Series, called: str, wanted: str) -> None:
    rows = np.flatnonzero(wrong)
    if rows.size:
        value = column[int(rows[0])]
        more = f" ({rows.size:,} rows are like that)" if rows.size > 1 else ""
        said = "empty" if value is None else str(value)
        raise UsageError(f"row {rows[0] + 1}, column {called!r} is {said}, which cannot be{more}: wanted are {wanted}")


def _read(data: bytes) -> tuple[pl.DataFrame, dict[str, str]]:
    """The table, and the units of its columns where it says any."""
    if data.startswith(b"PAR1"):
        return read_parquet(data, frozenset().union(*_NAMES.values()), _MOST), {}
    if data.startswith(b"SIMPLE  ="):
        return _of_astropy(data, "fits")
    head = data[:_HEAD].lstrip(b"\xef\xbb\xbf").lstrip()
    if head.startswith(b"<"):
        if b"VOTABLE" not in head:
            raise UsageError("XML, but no VOTable")
        check_votable(data)
        return _of_astropy(data, "votable")
    return _of_csv(data), {}


def _of_csv(data: bytes) -> pl.DataFrame:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"neither FITS, VOTable nor Parquet, and no CSV in UTF-8, from byte {error.start} on: save it as one of these"
        ) from error
    check_csv(text, _MOST)
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not lines:
        raise UsageError("it is empty")
    separator = max((",", "\t", ";", "|"), key=lines[0].count)
    check_header(lines[0], separator)
    # Not inferred: a name of digits keeps its zeros, and a number that is none is told by its row.
    table = pl.read_csv("\n".join(lines).encode(), separator=separator, infer_schema=False)
    if any(_NUMBER.fullmatch(column.strip()) for column in table.columns):
        raise UsageError("its first line holds numbers: write a line with the names of the columns above, such as id,ra,dec")
    return table.rename({column: column.strip() for column in table.columns})


def _of_astropy(data: bytes, kind: str) -> tuple[pl.DataFrame, dict[str, str]]:
    from astropy.table import Table  # noqa: PLC0415 - half a second that CSV does without

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # astropy warns of harmless departures from the standards
        warnings.filterwarnings("error", message=".*truncated")
        if kind == "votable":
            table = Table.read(io.BytesIO(data), format=kind, use_names_over_ids=True)
        else:
            table = Table.read(first_table(data, _MOST), format=kind)
    flat = [str(column) for column in table.columns if table[column].ndim == 1]
    units = {column: str(table[column].unit) for column in flat if table[column].unit is not None}
    return pl.DataFrame({column: _series(column, table[column]) for column in flat}), units


def _series(name: str, column: Any) -> pl.Series:
    hidden = np.ma.getmaskarray(column)
    values = np.asarray(np.ma.getdata(column))
    if values.dtype.kind in "fiu":
        found = pl.Series(name, np.ascontiguousarray(values.astype(values.dtype.newbyteorder("="))))
    else:
        found = pl.Series(name, [each.decode("utf-8", "replace") if isinstance(each, bytes) else str(each) for each in values])
    return found.set(pl.Series(hidden), None) if hidden.any() else found


def _chosen(columns: Iterable[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Which column stands for what, and those that stand for nothing."""
    lower = {column.strip().lower(): column for column in columns}
    chosen = {kind: lower[key] for kind, names in _NAMES.items() if (key := next((n for n in names if n in lower), None))}
    ignored = tuple(column for column in lower.values() if column not in chosen.values())
    for kind, what in (("ra", "right ascension"), ("dec", "declination")):
        if kind not in chosen:
            found = ", ".join(lower.values()) or "nothing"
            near = _meant(ignored, kind)
            remedy = f"is {near!r} meant? Call it {kind!r}" if near else f"call it {kind!r}"
            raise UsageError(f"it has no column of {what}, it has {found[:300]}: {remedy}")
    for kind in ("radius", "id"):
        if kind not in chosen and (near := _meant(ignored, kind)):
            raise UsageError(f"it has a column {near!r}: call it {kind!r} if that is meant, else something less like it")
    return chosen, ignored


def _meant(columns: Iterable[str], kind: str) -> str | None:
    """A column whose name is nearly one of a kind."""
    cutoff = {"radius": 0.8, "id": 0.85}.get(kind, 0.6)
    return next((column for column in columns if get_close_matches(column.lower(), _NAMES[kind], 1, cutoff)), None)


def _numbers(column: pl.Series, called: str, wanted: str) -> pl.Series:
    """Values as numbers; null where none is written."""
    if column.dtype != pl.String:
        if not column.dtype.is_numeric() and column.dtype != pl.Null:
            raise UsageError(f"column {called!r} holds no numbers: wanted are {wanted}")
        return column.cast(pl.Float64)
    text = column.str.strip_chars().replace("", None)
    found = text.cast(pl.Float64, strict=False)
    rows = (found.is_null() & text.is_not_null()).arg_true()
    if len(rows):
        raise UsageError(f"row {rows[0] + 1}, column {called!r} is {text[rows[0]]!r}, which is no number: wanted are {wanted}")
    return found


def _names(column: pl.Series, called: str) -> pl.Series:
    try:
        return column.cast(pl.String)
    except pl.exceptions.PolarsError as error:
        raise UsageError(f"column {called!r} holds {column.dtype}, which is no text: call it something else") from error


def _degrees(column: pl.Series, kind: str, called: str, unit: str) -> pl.Series:
    if column.dtype == pl.String:
        written = column.str.strip_chars().replace("", None)
        if any(_SEXAGESIMAL.fullmatch(text) for text in written.drop_nulls().head(1)):
            return _sexagesimal(written, kind, called)
    return _numbers(column, called, "degrees") * _factor(unit, "deg", called)


def _sexagesimal(column: pl.Series, kind: str, called: str) -> pl.Series:
    values: list[float | None] = []
    for row, text in enumerate(column):
        found = None if text is None else _SEXAGESIMAL.fullmatch(text)
        if text is not None and found is None:
            raise UsageError(f"row {row + 1}, column {called!r} is {text!r}, which is no angle such as the first row has")
        if text is None or found is None:
            values.append(None)
            continue
        size = int(found[2]) + int(found[3]) / 60.0 + float(found[4]) / 3600.0
        size *= 15.0 if kind == "ra" and "d" not in text and "°" not in text else 1.0
        values.append(-size if found[1] == "-" else size)
    return pl.Series(values, dtype=pl.Float64)


def _arcseconds(column: pl.Series, called: str, unit: str) -> pl.Series:
    factor = _factor(unit, "arcsec", called) if unit else _ARCSEC.get(called.lower(), 1.0)
    return _numbers(column, called, "arcseconds") * factor


def _factor(unit: str, wanted: str, called: str) -> float:
    """How many of the wanted units a unit is; one that is not given, or not understood, is the wanted one."""
    if unit in {"", wanted}:
        return 1.0
    from astropy import units as u  # noqa: PLC0415 - only tables that astropy has read say units

    given = u.Unit(unit, parse_strict="silent")
    if isinstance(given, u.UnrecognizedUnit):
        return 1.0
    try:
        return float(given.to(u.Unit(wanted)))
    except u.UnitConversionError:
        raise UsageError(f"column {called!r} is in {unit}, which is no angle: wanted are {wanted}") from None
