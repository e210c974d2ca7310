"""Frames as CSV, Parquet and VOTable; which of them a request wants."""

from __future__ import annotations

import io
import json
from typing import Any

import polars as pl
from fastapi import Request, Response

from broker.api.render.formats import Format
from broker.api.render.votable import votable
from broker.api.values import plain, wide
from broker.errors import UsageError

__all__ = ["MEDIA_TYPES", "TABLES", "Format", "flat", "jsonable", "render", "wanted_format"]


MEDIA_TYPES = {
    Format.json: "application/json",
    Format.csv: "text/csv; charset=utf-8",
    Format.parquet: "application/vnd.apache.parquet",
    Format.votable: "application/x-votable+xml",
}
_ACCEPTED = {
    "application/json": Format.json,
    "text/csv": Format.csv,
    "application/vnd.apache.parquet": Format.parquet,
    "application/x-parquet": Format.parquet,
    "application/x-votable+xml": Format.votable,
    "text/xml": Format.votable,
}
_SUFFIX = {Format.csv: "csv", Format.parquet: "parquet", Format.votable: "vot"}
TABLES: dict[str, Any] = {
    "text/csv": {"schema": {"type": "string"}},
    "application/vnd.apache.parquet": {"schema": {"type": "string", "format": "binary"}},
    "application/x-votable+xml": {"schema": {"type": "string"}},
}
"""What the OpenAPI document says of answers other than JSON."""


def wanted_format(request: Request, asked: Format | None) -> Format:
    """Shape of the answer: as `asked`, else the first we have of the Accept header, else JSON."""
    if asked is not None:
        return asked
    for part in request.headers.get("accept", "").split(","):
        kind = part.split(";")[0].strip().lower()
        if kind in _ACCEPTED:
            return _ACCEPTED[kind]
    return Format.json


def jsonable(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON has them; columns of ours alone are left out."""
    names = [name for name in frame.columns if not name.startswith("_")]
    return [{name: plain(value, name) for name, value in row.items()} for row in frame.select(names).iter_rows(named=True)]


def flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Frame that text formats can hold: wide integers and ids as strings, nested values as JSON text, no NaN."""
    columns = []
    for name, dtype in frame.schema.items():
        column = pl.col(name)
        if name.startswith("_"):
            continue
        if isinstance(dtype, pl.Datetime):
            columns.append(column.dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"))
        elif dtype.is_nested() or dtype in (pl.Binary, pl.Object):
            texts = [None if value is None else _text(name, value) for value in frame[name].to_list()]
            columns.append(pl.lit(pl.Series(name, texts, dtype=pl.String)))
        elif dtype.is_float():
            columns.append(pl.when(column.is_finite()).then(column))
        elif dtype in (pl.Null, pl.UInt64) or (dtype == pl.Int64 and wide(name, 0)):
            columns.append(column.cast(pl.String))
        else:
            columns.append(column)
    return frame.select(columns)


def _text(name: str, value: Any) -> str:
    shown = plain(value, name)
    return shown if isinstance(shown, str) else json.dumps(shown)


def render(frame: pl.DataFrame, fmt: Format, *, name: str, description: str, headers: dict[str, str] | None = None) -> Response:
    """The whole answer, made before its first byte is sent.

    Parameters
    ----------
    fmt
        Any but JSON, whose shape is each resource's own.
    name
        Of the file it would be saved as, without its ending.

    Raises
    ------
    UsageError
        For JSON.
    """
    match fmt:
        case Format.csv:
            body = flat(frame).write_csv().encode()
        case Format.parquet:
            buffer = io.BytesIO()
            frame.select(column for column in frame.columns if not column.startswith("_")).write_parquet(buffer)
            body = buffer.getvalue()
        case Format.votable:
            body = votable(flat(frame), name=name, description=description)
        case Format.json:
            raise UsageError("JSON is each resource's own")
    disposition = f'attachment; filename="{name}.{_SUFFIX[fmt]}"'
    return Response(
        body, media_type=MEDIA_TYPES[fmt], headers={"Content-Disposition": disposition, "Vary": "Accept", **(headers or {})}
    )
