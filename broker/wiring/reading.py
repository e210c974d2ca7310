"""Reading what is kept: packets, their fields, cutouts, light curves, and queries by expression."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from broker.alert import COMMON
from broker.decode.declaration import Declaration
from broker.decode.dispatch import NOTICE_STREAMS
from broker.decode.packet import cutout as read_cutout
from broker.decode.packet import light_curve as read_light_curve
from broker.decode.packet import read_packet
from broker.errors import NotFoundError, UsageError
from broker.filtering.expression import Expression, compile_expression
from broker.process import associate
from broker.store import alerts, columns
from broker.store.archive import Address, Archive
from broker.wiring.current import with_maps_of_now
from broker.wiring.names import sources_of, suggestion
from broker.wiring.packet_columns import from_packets
from broker.wiring.parts import Parts

__all__ = ["Query", "cutout", "fields", "light_curve", "packet", "query"]

CHUNK = 500  # packets decoded at a time when a query asks for what the frames do not have


@dataclass(frozen=True, slots=True)
class Query:
    """What to look for.

    Parameters
    ----------
    where
        Expression in the language of the filters.
    streams
        Only these; empty for all.
    columns
        Wanted beside the common ones.
    limit
        Rows at most.
    start, end
        Half-open window of time.
    narrow
        Whatever else must hold, on common columns.
    most_packets
        Packets that may be read for it; any number where not given.
    """

    where: str
    streams: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    limit: int | None = None
    start: datetime | None = None
    end: datetime | None = None
    narrow: pl.Expr | None = None
    most_packets: int | None = None


def query(parts: Parts, asked: Query, on_packets: Callable[[int, int], None] = lambda _done, _total: None) -> pl.DataFrame:
    """Alerts an expression is true for, newest first.

    What the frames have is read from them; a packet field that no filter has wanted so far is decoded from the packets.

    Parameters
    ----------
    on_packets
        Told, while packets are read, how many of how many are.

    Returns
    -------
    DataFrame
        The common columns, `Query.columns`, and the columns the expression names.

    Raises
    ------
    ExpressionError
        The expression is wrong.
    UsageError
        A column is known neither to the frames nor to any packet, or too many packets would have to be read.
    """
    frames = columns.scan(parts.frames, asked.streams or None, start=asked.start, end=asked.end)
    expression = compile_expression(asked.where)
    if not expression.columns.union(asked.columns).isdisjoint(associate.COLUMNS):
        frames = with_maps_of_now(parts, frames)
    schema = frames.collect_schema()
    named = [name for name in dict.fromkeys([*asked.columns, *sorted(expression.columns)]) if name not in COMMON]
    missing = frozenset(name for name in named if name not in schema)
    narrowed = frames if asked.narrow is None else frames.filter(asked.narrow)
    if not missing:
        found = narrowed.filter(_checked(asked.where, schema).expr).select(*COMMON, *named)
        return _newest(found, asked.limit).collect()
    kept = narrowed.select(*COMMON, *(name for name in named if name in schema), *columns.PROVENANCE)
    rows = kept.sort("time", "alert_id", descending=True, nulls_last=True).collect()
    # Where there is no packet at all, one of any stream asked for might have it.
    there = rows["stream"].unique().to_list() or asked.streams or (*parts.declarations, *NOTICE_STREAMS)
    sought = sources_of(parts, missing, there, schema)
    return _from_packets(parts, asked, rows, sought=sought, named=named, on_packets=on_packets)


def packet(parts: Parts, alert_id: str) -> bytes:
    """Bytes an alert came in, exactly."""
    return _bytes(parts, alerts.get(parts.store, alert_id))


def fields(parts: Parts, alert_id: str) -> dict[str, Any]:
    """A survey packet, or a notice in JSON, decoded.

    Raises
    ------
    NotFoundError
        No such alert, or a notice that is no JSON, whose packet says it all.
    """
    row = alerts.get(parts.store, alert_id)
    declaration = parts.declarations.get(row["stream"])
    if declaration is not None:
        return _decoded(parts, row, declaration)
    try:
        told = json.loads(_bytes(parts, row))
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise NotFoundError(f"{alert_id} is a notice, and not in JSON: read its packet instead")
    return told


def cutout(parts: Parts, alert_id: str, kind: str) -> bytes | None:
    """FITS bytes of a cutout, or ``None`` where the packet has none of that kind."""
    stream = alert_id.split(":", 1)[0]
    declaration = parts.declarations.get(stream)
    return read_cutout(declaration, fields(parts, alert_id), kind) if declaration else None


def light_curve(parts: Parts, object_id: str) -> pl.DataFrame:
    """Light curve of an object: what its packets carry, each measurement once, by time.

    The histories of all its packets are put together, so that what an older packet saw of a longer past is not lost.
    """
    rows = alerts.object_alerts(parts.store, object_id)
    curves = []
    for row in rows:
        declaration = parts.declarations.get(row["stream"])
        if declaration is not None:
            curves.append(read_light_curve(declaration, _decoded(parts, row, declaration)))
    if not curves:
        return pl.DataFrame()
    return pl.concat(curves, how="diagonal_relaxed").unique(["time", "band", "kind"], keep="first").sort("time")


def _bytes(parts: Parts, row: Mapping[str, Any]) -> bytes:
    archive = row["archive"]
    if archive is None:
        raise NotFoundError(f"the packet of {row['alert_id']} is not in the archive")
    return Archive(parts.archive_root, "reader").read(Address(archive["file"], archive["offset"], archive["length"]))


def _decoded(parts: Parts, row: Mapping[str, Any], declaration: Declaration) -> dict[str, Any]:
    return read_packet(declaration, _bytes(parts, row), parts.schemas, row["origin"]["unit"] or 0)


def _checked(where: str, schema: pl.Schema) -> Expression:
    visible = {name: dtype for name, dtype in schema.items() if not name.startswith("nuncius.")}
    return compile_expression(where, visible)


def _newest(frame: pl.LazyFrame, limit: int | None) -> pl.LazyFrame:
    ordered = frame.sort("time", "alert_id", descending=True, nulls_last=True)
    return ordered if limit is None else ordered.head(limit)


def _from_packets(
    parts: Parts,
    asked: Query,
    rows: pl.DataFrame,
    *,
    sought: Mapping[str, frozenset[str]],
    named: Sequence[str],
    on_packets: Callable[[int, int], None],
) -> pl.DataFrame:
    found: list[pl.DataFrame] = []
    seen = set(rows.columns)
    count = 0
    for done, chunk in _chunks(parts, rows, sought, asked.most_packets):
        seen |= set(chunk.columns)
        for name in named:
            if name not in chunk.columns:
                chunk = chunk.with_columns(pl.lit(None).alias(name))  # noqa: PLW2901
        hits = chunk.filter(_checked(asked.where, chunk.schema).expr).select(*COMMON, *named)
        found.append(hits)
        count += hits.height
        on_packets(done, rows.height)
        if asked.limit is not None and count >= asked.limit:
            break
    else:
        # Only those of notices are not known beforehand; a survey's field may well be in none of the packets there are.
        hoped = {name for stream, names in sought.items() if stream not in parts.declarations for name in names}
        if found and (unknown := sorted(hoped - seen)):
            raise UsageError(f"no packet looked at has a field {unknown[0]!r}{suggestion(parts, unknown[0], seen)}")
    empty = pl.DataFrame(schema={**COMMON, **dict.fromkeys(named, pl.Null)})
    everything = pl.concat(found, how="vertical_relaxed") if found else empty
    return everything if asked.limit is None else everything.head(asked.limit)


def _chunks(
    parts: Parts, rows: pl.DataFrame, sought: Mapping[str, frozenset[str]], most: int | None
) -> Iterator[tuple[int, pl.DataFrame]]:
    """Rows, a chunk at a time, with what is sought of their packets; those of streams that cannot have it are not read."""
    archive = Archive(parts.archive_root, "reader")
    read = 0
    for first in range(0, rows.height, CHUNK):
        chunk = rows[first : first + CHUNK]
        parts_of_chunk = []
        for (stream,), group in chunk.group_by("stream", maintain_order=True):
            missing = sought[str(stream)]
            if not missing:
                parts_of_chunk.append(group)
                continue
            read += group.height
            if most is not None and read > most:
                raise UsageError(
                    f"more than {most} packets would have to be read for {', '.join(sorted(missing))[:200]}: narrow the search "
                    "by stream, time or object, or name it in a filter, which has it kept from then on"
                )
            parts_of_chunk.append(from_packets(parts, archive, str(stream), group, missing))
        yield (
            first + chunk.height,
            pl.concat(parts_of_chunk, how="diagonal_relaxed").sort("time", "alert_id", descending=True, nulls_last=True),
        )
