"""Many rows into a table at once, replacing those of the same key.

SQLite takes one prepared statement over all rows; PostgreSQL takes a CSV made without touching a cell in Python, by COPY into a
temporary table and one INSERT ... ON CONFLICT from there.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import polars as pl
from sqlalchemy import Connection, LargeBinary, Table

__all__ = ["clean", "upsert"]

_FEW_ROWS = 24  # below it a temporary table costs more than it saves


def clean(frame: pl.DataFrame) -> pl.DataFrame:
    """Frame that both engines keep alike: no NaN (SQLite makes it null), no NUL in text (PostgreSQL refuses it)."""
    fixes = [
        pl.col(name).fill_nan(None) if dtype.is_float() else pl.col(name).str.replace_all("\0", "", literal=True)
        for name, dtype in frame.schema.items()
        if dtype.is_float() or dtype == pl.String
    ]
    return frame.with_columns(fixes) if fixes else frame


def upsert(conn: Connection, table: Table, frame: pl.DataFrame, *, replace: bool = True, unless_older: str = "") -> None:
    """Insert rows; one whose primary key is there already replaces it, or is left out.

    Parameters
    ----------
    frame
        Columns named as the table's; keys not repeated. Rows go in by key order, so that two writers never wait for each other
        in a circle.
    replace
        Whether the newer row wins.
    unless_older
        Column of a number: a row whose number is below that of the one there is left out.
    """
    if frame.is_empty():
        return
    keys = tuple(column.name for column in table.primary_key)
    frame = frame.sort(keys)
    names = tuple(frame.columns)
    conflict = _conflict(names, keys, replace, _guard(table, unless_older))
    if conn.dialect.name == "postgresql" and frame.height > _FEW_ROWS:
        _copy(conn, table, frame, conflict)
    else:
        marker = "?" if conn.dialect.name == "sqlite" else "%s"
        conn.exec_driver_sql(_insert(table, names, marker, conflict), frame.rows())


def _quoted(names: tuple[str, ...]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _guard(table: Table, column: str) -> str:
    return f' WHERE excluded."{column}" >= "{table.name}"."{column}"' if column else ""


@lru_cache(maxsize=64)
def _conflict(names: tuple[str, ...], keys: tuple[str, ...], replace: bool, guard: str) -> str:
    others = [name for name in names if name not in keys]
    if not replace or not others:
        return f"ON CONFLICT ({_quoted(keys)}) DO NOTHING"
    updates = ", ".join(f'"{name}" = excluded."{name}"' for name in others)
    return f"ON CONFLICT ({_quoted(keys)}) DO UPDATE SET {updates}{guard}"


@lru_cache(maxsize=64)
def _insert(table: Table, names: tuple[str, ...], marker: str, conflict: str) -> str:
    values = ", ".join([marker] * len(names))
    return f'INSERT INTO "{table.name}" ({_quoted(names)}) VALUES ({values}) {conflict}'  # noqa: S608 - our own names


def _copy(conn: Connection, table: Table, frame: pl.DataFrame, conflict: str) -> None:
    names = _quoted(tuple(frame.columns))
    temporary = f"incoming_{table.name}"
    conn.exec_driver_sql(f'CREATE TEMP TABLE IF NOT EXISTS {temporary} (LIKE "{table.name}") ON COMMIT DELETE ROWS')
    encoded = frame.with_columns(
        pl.lit("\\x").add(pl.col(column.name).bin.encode("hex")).alias(column.name)
        for column in table.columns
        if isinstance(column.type, LargeBinary) and column.name in frame.columns
    )
    data = encoded.write_csv(include_header=False, float_scientific=None).encode()
    driver: Any = conn.connection.dbapi_connection
    with driver.cursor() as cursor:
        cursor.execute(f"DELETE FROM {temporary}")  # noqa: S608 - our own name
        with cursor.copy(f"COPY {temporary} ({names}) FROM STDIN (FORMAT csv)") as copy:
            copy.write(data)
        cursor.execute(f'INSERT INTO "{table.name}" ({names}) SELECT {names} FROM {temporary} {conflict}')  # noqa: S608
