"""Points out of CSV files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from broker.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["numbers", "read_points"]


def read_points(file: Path) -> pl.DataFrame:
    """Rows of a CSV file with columns ``ra`` and ``dec``, as text; `UsageError` where it has none."""
    import polars as pl

    try:
        table = pl.read_csv(file, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read as CSV: {str(error).splitlines()[0]}") from error
    table = table.rename({name: name.strip() for name in table.columns})
    if missing := {"ra", "dec"} - set(table.columns):
        found = ", ".join(table.columns)
        raise UsageError(f"{file} has no column {' nor '.join(sorted(missing))}: wanted are ra,dec[,distance], found {found}")
    return table


def numbers(file: Path, table: pl.DataFrame, name: str, *, needed: bool) -> pl.Series:
    """A column as numbers; `UsageError` with the line of a value that is none, an empty one among them where it is needed."""
    import polars as pl

    text = table[name].str.strip_chars().replace("", None)
    found = text.cast(pl.Float64, strict=False)
    rows = found.is_null() if needed else found.is_null() & text.is_not_null()
    if rows.any():
        row = int(rows.arg_true()[0])
        raise UsageError(f"{file}, line {row + 2}: {name} is {table[name][row]!r}, wanted is a number")
    return found
