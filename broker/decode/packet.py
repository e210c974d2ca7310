"""One packet read whole, through fastavro: for cutouts, light curves and whoever asks for a field nobody kept.

This is the slow path; `broker.decode.survey` is the one every packet takes.
"""

from __future__ import annotations

import ctypes
import gzip
import io
import zlib
from collections.abc import Sequence
from typing import Any

import fastavro
import numpy as np
import polars as pl

from broker.decode.columns import Ragged
from broker.decode.declaration import Declaration, History
from broker.decode.history import entries
from broker.decode.ocf import MAGIC, MAX_UNPACKED, find_spans, header_of
from broker.decode.schemas import SchemaSource
from broker.errors import DecodeError
from broker.science.times import to_mjd_utc

__all__ = ["LIGHT_CURVE", "cutout", "light_curve", "read_packet"]

Packet = dict[str, Any]

LIGHT_CURVE: dict[str, pl.DataType | type[pl.DataType]] = {
    "time": pl.Float64,  # MJD, UTC
    "mag": pl.Float64,
    "mag_err": pl.Float64,
    "flux": pl.Float64,  # the survey's unit
    "flux_err": pl.Float64,
    "limit": pl.Float64,  # five-sigma limiting magnitude, where that is all there is
    "band": pl.String,
    "positive": pl.Boolean,
    "kind": pl.String,  # detection, forced, limit
}
"""Columns of a packet's light curve."""


def read_packet(declaration: Declaration, data: bytes, schemas: SchemaSource, unit: int = 0) -> Packet:
    """Record of a packet as fastavro reads it.

    Parameters
    ----------
    declaration
        Of its stream.
    data
        The packet as received: container, Confluent-framed or bare.
    schemas
        Where schemas are that packets do not carry.
    unit
        Which of its records.

    Raises
    ------
    DecodeError
        The bytes cannot be read, or there are fewer records.
    SchemaUnavailableError
        The writer's schema cannot be had.
    """
    try:
        if data.startswith(MAGIC):
            return _from_container(data, unit)
        if unit == 0 and data[:1] == b"\x00" and len(data) > 5 and "confluent" in declaration.framing:
            schema = schemas.by_id(declaration.stream, int.from_bytes(data[1:5], "big"))
            return _whole(data[5:], schema)
        if unit == 0 and "bare" in declaration.framing:
            return _bare(declaration, data, schemas.candidates(declaration.stream))
    except (OSError, EOFError, ValueError, LookupError, TypeError, ArithmeticError, AttributeError, RecursionError) as error:
        raise DecodeError(f"the packet cannot be read: {error or type(error).__name__}") from error
    raise DecodeError(f"the packet has no record number {unit} of stream {declaration.stream}")


def cutout(declaration: Declaration, packet: Packet, kind: str) -> bytes | None:
    """FITS bytes of an image in the packet, unpacked; tile-compressed images stay as they are.

    ``None`` where the packet or its stream has no image of that kind.

    Raises
    ------
    DecodeError
        The image is packed and damaged.
    """
    rule = dict(declaration.cutouts).get(kind)
    if rule is None:
        return None
    data = next((found for path in rule.field if isinstance(found := _at(packet, path), bytes)), None)
    if not data or rule.compression == "none" or (rule.compression == "auto" and not data.startswith(b"\x1f\x8b")):
        return data or None
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            image = file.read(MAX_UNPACKED + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DecodeError(f"the {kind} cutout cannot be unpacked: {error}") from error
    if len(image) > MAX_UNPACKED:
        raise DecodeError(f"the {kind} cutout unpacks to more than {MAX_UNPACKED} bytes")
    return image


def light_curve(declaration: Declaration, packet: Packet) -> pl.DataFrame:
    """Everything the packet says of the object's brightness over time, the alert itself included; see `LIGHT_CURVE`."""
    h = declaration.history
    parts = [_alert_point(declaration, packet)]
    for kind, item in (("detection", h.detections), ("forced", h.forced), ("limit", h.limits)):
        if item is not None:
            parts.append(_points(declaration, item, packet, kind))
    curve = pl.concat(parts).unique(["time", "band", "kind"], keep="first", maintain_order=True)
    return curve.sort("time", maintain_order=True)


def _from_container(data: bytes, unit: int) -> Packet:
    header = header_of(data)
    spans = find_spans([data], header)
    schema = fastavro.parse_schema(header.schema, _force=True)
    before = 0
    for address, size, count in zip(spans.address.tolist(), spans.size.tolist(), spans.count.tolist(), strict=True):
        if before + count > unit:
            stream = io.BytesIO(ctypes.string_at(address, size))
            for _ in range(unit - before):
                fastavro.schemaless_reader(stream, schema, None)
            return _record(fastavro.schemaless_reader(stream, schema, None))
        before += count
    raise DecodeError(spans.failed.get(0, f"the packet has no record number {unit}: it holds {before}"))


def _whole(data: bytes, schema: Any) -> Packet:
    stream = io.BytesIO(data)
    record = fastavro.schemaless_reader(stream, fastavro.parse_schema(schema, _force=True), None)
    if stream.tell() != len(data):
        raise DecodeError(f"the packet goes on after its record's end, at byte {stream.tell()}")
    return _record(record)


def _bare(declaration: Declaration, data: bytes, candidates: Sequence[Any]) -> Packet:
    for schema in candidates:
        try:
            packet = _whole(data, schema)
        except Exception:  # noqa: BLE001, S112 - the wrong schema fails in any way; the next may be the right one
            continue
        ra = next((value for path in declaration.ra if isinstance(value := _at(packet, path), float)), np.nan)
        if 0.0 <= ra <= 360.0:
            return packet
    raise DecodeError(f"the packet is a bare record of none of the {len(candidates)} schemas of stream {declaration.stream}")


def _record(value: Any) -> Packet:
    if not isinstance(value, dict):
        raise DecodeError("the packet's schema is not one of a record")
    return value


def _at(value: Any, path: str) -> Any:
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _alert_point(declaration: Declaration, packet: Packet) -> pl.DataFrame:
    b = declaration.brightness
    item = History(
        field=("alert",), time=declaration.time.field, mag=b.mag, mag_err=b.mag_err, flux=b.flux, flux_err=b.flux_err,
        zeropoint_field=b.zeropoint_field, band=declaration.band.field, positive=declaration.positive,
    )  # fmt: skip
    return _points(declaration, item, {"alert": [packet]}, "detection")


def _points(declaration: Declaration, item: History, packet: Packet, kind: str) -> pl.DataFrame:
    items = next((found for path in item.field if isinstance(found := _at(packet, path), list)), [])
    items = [entry for entry in items if isinstance(entry, dict)]
    inner = (*item.time, *item.band, *item.positive, *item.mag, *item.mag_err, *item.flux, *item.flux_err)
    names = [name for name in dict.fromkeys((*inner, *item.zeropoint_field, *item.limit, *item.noise)) if "[]" not in name]
    points = entries(declaration, item, _ragged(declaration, items, names))
    zeropoint = declaration.brightness.zeropoint if item.zeropoint is None else item.zeropoint
    with np.errstate(invalid="ignore", divide="ignore"):
        noise_limit = zeropoint - 2.5 * np.log10(5.0 * points.noise)
    limit = np.where(np.isnan(points.limit), noise_limit, points.limit)
    wanted = np.isnan(points.mag) & ~np.isfinite(points.flux) & np.isfinite(limit) if kind == "limit" else points.measured
    # A list of detections and limits together: a limit is an entry of it that has nothing measured.
    if kind == "limit" and (d := declaration.history.detections) is not None and d.field == item.field:
        wanted &= ~entries(declaration, d, _ragged(declaration, items, (*d.mag, *d.flux))).measured
    frame = pl.DataFrame(
        {
            "time": to_mjd_utc(points.days, declaration.time.format, declaration.time.scale),
            "mag": points.mag,
            "mag_err": points.mag_err,
            "flux": points.flux,
            "flux_err": points.flux_err,
            "limit": limit if kind == "limit" else np.full(len(items), np.nan),
            "band": points.band,
            "positive": points.positive,
            "kind": pl.Series([kind], dtype=pl.String).new_from_index(0, len(items)),
        },
        schema=LIGHT_CURVE,
    )
    floats = [name for name, dtype in LIGHT_CURVE.items() if dtype == pl.Float64]
    return frame.filter(pl.Series(wanted)).with_columns(pl.col(floats).fill_nan(None)).drop_nulls("time")


def _ragged(declaration: Declaration, items: list[Packet], names: Sequence[str]) -> Ragged:
    """The entries' fields as columns, without the numbers that stand for a missing one."""
    fields = {}
    for name in names:
        values = [_at(entry, name) for entry in items]
        values = [None if isinstance(value, float) and value in declaration.missing else value for value in values]
        series = pl.Series(name, _numbers(values), strict=False)
        if series.dtype != pl.Null:
            fields[name] = series
    return Ragged(np.array([0, len(items)]), fields)


def _numbers(values: list[Any]) -> list[Any]:
    """Values of one field, as text where they are not all numbers."""
    kinds = {type(value) for value in values} - {type(None)}
    if kinds <= {int, float} or kinds <= {bool} or kinds <= {str}:
        return [float(value) for value in values] if kinds == {int, float} and None not in values else values
    return [None if value is None or isinstance(value, (dict, list, bytes)) else str(value) for value in values]
