"""Survey packets, whatever their framing, as a batch of columns.

A packet is a container of one or several records with its schema (``Obj`` 1), a record behind a Confluent header (a zero byte
and a schema id), or a bare record. Packets of one schema are decoded together; a damaged one costs itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import polars as pl

from broker.alert import COMMON, PRIVATE, Batch, Rejection, conform
from broker.decode import common
from broker.decode.columns import Decoded, decode
from broker.decode.declaration import Declaration
from broker.decode.history import history_columns
from broker.decode.ocf import MAGIC, Header, Spans, address_of, find_spans, header_of
from broker.decode.schemas import SchemaSource
from broker.errors import DecodeError, SchemaUnavailableError
from broker.record import Record

__all__ = ["decode_survey"]

_STAGE = "decode"
_CONFLUENT = 5  # bytes of a zero and a big-endian schema id


@dataclass(slots=True)
class _Work:
    """A batch in the making: what is to be read, what came of it."""

    declaration: Declaration
    packets: list[bytes]
    paths: frozenset[str]
    history: bool
    columns: tuple[str, ...]
    frames: list[pl.DataFrame] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)

    def reject(self, record: int, reason: str, unit: int = 0) -> None:
        self.rejected.append(Rejection(record, reason, _STAGE, unit))


def decode_survey(
    declaration: Declaration, records: Sequence[Record], schemas: SchemaSource, wanted: frozenset[str] = frozenset()
) -> Batch:
    """Decode the records of one survey stream.

    Parameters
    ----------
    declaration
        What the stream's packets mean.
    records
        One packet each.
    schemas
        Where schemas are that packets do not carry.
    wanted
        Packet fields to decode besides those the declaration keeps; a name that begins with ``history.`` asks for the
        `broker.alert.HISTORY` columns.

    Returns
    -------
    Batch
        A row an alert, in the order of the records; what could not be decoded is rejected with its reason.

    Raises
    ------
    TransientError
        A schema registry cannot be reached: decode the batch again later.
    """
    history = any(name.startswith("history.") for name in wanted)
    extra = sorted(name for name in wanted if name not in COMMON and name not in PRIVATE and not name.startswith("history."))
    columns = tuple(dict.fromkeys((*declaration.keep, *extra)))
    paths = _needed(declaration, history, frozenset(extra))
    work = _Work(declaration, [record.value for record in records], paths, history, columns)
    containers, framed, bare = _sorted_by_framing(work)
    for header, numbers in containers.items():
        _container_group(work, schemas, header, numbers)
    unknown: dict[int, str] = {}
    for schema_id, numbers in framed.items():
        unknown |= _framed_group(work, schemas, schema_id, numbers)
    if bare or unknown:
        _bare_group(work, schemas, sorted([*bare, *unknown]), unknown)
    frame = _assembled(work)
    work.rejected.sort(key=lambda item: (item.record, item.unit))
    return Batch(
        stream=declaration.stream,
        records=tuple(records),
        frame=frame,
        received=frame.height + len(work.rejected),
        rejected=tuple(work.rejected),
    )


_paths: dict[tuple[Declaration, bool, frozenset[str]], frozenset[str]] = {}


def _needed(declaration: Declaration, history: bool, extra: frozenset[str]) -> frozenset[str]:
    """Paths to read; the same object for the same question, so that compiled programs are found at once."""
    key = (declaration, history, extra)
    if key not in _paths:
        if len(_paths) >= 1024:
            _paths.clear()
        _paths[key] = common.paths_of(declaration, history=history) | extra
    return _paths[key]


def _sorted_by_framing(work: _Work) -> tuple[dict[Header, list[int]], dict[int, list[int]], list[int]]:
    """Packets by container header, by Confluent schema id, and the rest; those that are nothing of the kind are rejected."""
    framing = work.declaration.framing
    containers: dict[Header, list[int]] = {}
    framed: dict[int, list[int]] = {}
    bare: list[int] = []
    for number, data in enumerate(work.packets):
        if data.startswith(MAGIC):
            try:
                containers.setdefault(header_of(data), []).append(number)
            except DecodeError as error:
                work.reject(number, str(error))
        elif not data:
            work.reject(number, "the packet is empty")
        elif data[0] == 0 and len(data) > _CONFLUENT and "confluent" in framing:
            framed.setdefault(int.from_bytes(data[1:_CONFLUENT], "big"), []).append(number)
        elif "bare" in framing:
            bare.append(number)
        else:
            work.reject(number, "the packet is neither an Avro container nor a Confluent-framed record")
    return containers, framed, bare


def _container_group(work: _Work, schemas: SchemaSource, header: Header, numbers: list[int]) -> None:
    """Containers of one header, as many at a time as may be unpacked at once."""
    while numbers:
        spans = find_spans([work.packets[number] for number in numbers], header)
        _containers(work, schemas, header, numbers[: spans.taken], spans)
        numbers = numbers[spans.taken :]


def _containers(work: _Work, schemas: SchemaSource, header: Header, numbers: list[int], spans: Spans) -> None:
    try:
        decoded = decode(header.schema, spans, work.paths, work.declaration.missing)
    except Exception as error:  # noqa: BLE001 - a schema can be wrong in any way; it came with the packet
        for number in numbers:
            work.reject(number, f"the container's schema cannot be used: {error or type(error).__name__}")
        return
    if decoded.source.size:
        _tell(schemas, work.declaration.stream, header.schema, "container")
    _take(work, decoded, numbers)


def _framed_group(work: _Work, schemas: SchemaSource, schema_id: int, numbers: list[int]) -> dict[int, str]:
    """Records of one schema id; gives those, with the reason, that may be bare records that happen to begin with a zero."""
    stream = work.declaration.stream
    try:
        schema = schemas.by_id(stream, schema_id)
        decoded = decode(schema, _whole([work.packets[n] for n in numbers], _CONFLUENT), work.paths, work.declaration.missing)
    except (SchemaUnavailableError, ValueError) as error:
        if "bare" in work.declaration.framing:
            return dict.fromkeys(numbers, str(error))
        for number in numbers:
            work.reject(number, str(error))
        return {}
    if decoded.source.size:
        _tell(schemas, stream, schema, f"id {schema_id}")
    _take(work, decoded, numbers)
    return {}


def _bare_group(work: _Work, schemas: SchemaSource, numbers: list[int], unknown: Mapping[int, str]) -> None:
    """Records without framing: by the newest schema they fit to their last byte, with an identity, a position and a time.

    Those `unknown` are more likely framed by an id that is not to be had, which is the reason they are rejected with.
    """
    stream = work.declaration.stream
    candidates = list(schemas.candidates(stream))
    last = _fitted.get(stream)
    candidates.sort(key=lambda schema: schema is not last)
    reasons: dict[int, str] = {}
    left = numbers
    for schema in candidates:
        decoded = decode(schema, _whole([work.packets[number] for number in left], 0), work.paths, work.declaration.missing)
        checked = common.check(work.declaration, decoded)
        fits = np.ones(decoded.source.size, np.bool_)
        fits[list(checked.problems)] = False
        if fits.any():
            _fitted[stream] = schema
            _tell(schemas, stream, schema, "bare record")
            _append(work, decoded, checked, fits, left)
        for place, reason in decoded.failed.items():
            reasons.setdefault(left[place], reason)
        for row, reason in checked.problems.items():
            reasons.setdefault(left[int(decoded.source[row])], reason)
        fitted = {left[place] for place in decoded.source[fits].tolist()}
        left = [number for number in left if number not in fitted]
        if not left:
            return
    for number in left:
        if number in unknown:
            work.reject(number, unknown[number])
            continue
        why = f"with the first of them {reasons[number]}" if number in reasons else "no source of schemas has any"
        work.reject(number, f"the packet is a bare record of none of the {len(candidates)} schemas of stream {stream}: {why}")


_fitted: dict[str, Any] = {}  # schema the last bare record of a stream was written with: the next one's too, nearly always


def _whole(packets: Sequence[bytes], skip: int) -> Spans:
    """One record a packet, behind `skip` bytes."""
    count = len(packets)
    return Spans(
        np.arange(count),
        np.fromiter((address_of(data) + skip for data in packets), np.int64, count),
        np.fromiter((len(data) - skip for data in packets), np.int64, count),
        np.ones(count, np.int64),
        {},
        tuple(packets),
    )


def _take(work: _Work, decoded: Decoded, numbers: list[int]) -> None:
    """Add a group's rows to the batch, and reject what is wrong with it."""
    checked = common.check(work.declaration, decoded)
    keep = np.ones(decoded.source.size, np.bool_)
    keep[list(checked.problems)] = False
    for row, reason in checked.problems.items():
        work.reject(numbers[int(decoded.source[row])], reason, int(decoded.unit[row]))
    if decoded.failed:
        units = np.bincount(decoded.source, minlength=len(numbers))
        for place, reason in decoded.failed.items():
            work.reject(numbers[place], reason, int(units[place]))
    if keep.any():
        _append(work, decoded, checked, keep, numbers)


def _append(work: _Work, decoded: Decoded, checked: common.Checked, keep: common.Flags, numbers: list[int]) -> None:
    declaration = work.declaration
    columns: dict[str, pl.Series] = common.common_columns(declaration, checked, keep)
    have = [name for name in work.columns if name in checked.frame.columns]
    whole, mask = bool(keep.all()), pl.Series(keep)
    for name in have:
        series = checked.frame[name].cast(pl.String) if name in declaration.text else checked.frame[name]
        columns[name] = series if whole else series.filter(mask)
    if work.history:
        columns |= history_columns(declaration, decoded, checked, keep)
    columns["_record"] = pl.Series(np.array(numbers, np.uint32)[decoded.source[keep]])
    columns["_unit"] = pl.Series(decoded.unit[keep].astype(np.uint32))
    work.frames.append(pl.DataFrame(columns))


def _assembled(work: _Work) -> pl.DataFrame:
    """All groups' rows, in the order of their records."""
    if not work.frames:
        empty: Mapping[str, Any] = {**COMMON, "_record": PRIVATE["_record"], "_unit": PRIVATE["_unit"]}
        return pl.DataFrame(schema=dict(empty))
    if len(work.frames) == 1:
        return work.frames[0]
    frame = pl.concat(work.frames, how="diagonal_relaxed")
    return conform(frame.sort("_record", "_unit"))


_told: WeakKeyDictionary[SchemaSource, dict[tuple[str, int], Any]] = WeakKeyDictionary()


def _tell(schemas: SchemaSource, stream: str, schema: Any, how: str) -> None:
    """Say once to a source that a schema was met; which one is known by identity, the schema kept so that it stays its own."""
    try:
        told = _told.setdefault(schemas, {})
    except TypeError:  # a source that cannot be remembered is told every time
        schemas.seen(stream, schema, how)
        return
    if (stream, id(schema)) not in told:
        if len(told) >= 1024:
            told.clear()
        told[stream, id(schema)] = schema
        schemas.seen(stream, schema, how)
