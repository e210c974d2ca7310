"""Every column that filters of a stream can name: what all alerts have, what packets have, what we add."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import polars as pl

from broker.alert import COMMON
from broker.decode.common import paths_of
from broker.decode.declaration import Declaration
from broker.decode.dispatch import NOTICE_STREAMS
from broker.decode.schema_fields import SchemaField, fields_of
from broker.decode.schemas import LsstPackage
from broker.deliver.schema import load_published
from broker.errors import UsageError
from broker.filtering.columns import ColumnInfo, Known, type_of
from broker.filtering.parse import nearest
from broker.paths import shipped
from broker.settings import Settings
from broker.simulate import ztf_schema
from broker.store import catalogs, columns, engine, migrate, regions, schemas_seen, watchlists
from broker.store.catalogs import Catalog
from broker.topics import COINCIDENCE_STREAM
from broker.wiring import column_words as words
from broker.wiring.parts import Parts, declarations_of

__all__ = ["AtHand", "at_hand", "columns_of", "known_of", "of_parts", "streams"]

_CLOSED: Final = frozenset({"lvk", COINCIDENCE_STREAM})
"""Streams of notices whose fields are all known."""


@dataclass(frozen=True, slots=True)
class AtHand:
    """What columns are told from.

    Parameters
    ----------
    declarations
        Of the surveys, by stream.
    seen
        Schemas met, newest first, by stream.
    catalogs
        Those built; ``None`` where there is no data folder, and all that come with packages are told of.
    frames
        Folder of the frames.
    lists
        Names of the watchlists and regions, by prefix of their columns; ``None`` where nobody could be asked.
    """

    declarations: Mapping[str, Declaration]
    seen: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    catalogs: tuple[Catalog, ...] | None = None
    frames: Path | None = None
    lists: Mapping[str, Sequence[str]] | None = None


def at_hand(settings: Settings, data: Path) -> AtHand:
    """What there is in a data folder, or comes with Nuncius where there is none; nothing is made."""
    declarations = declarations_of(settings, data)
    url = settings.store.url.get_secret_value()
    file = data / "nuncius.sqlite"
    if not url and not file.is_file():
        return AtHand(declarations)
    with closing(_Opened(url or f"sqlite:///{file.absolute()}")) as opened:
        return _gathered(declarations, opened.store, tuple(catalogs.open_all(data / "catalogs")), data / "frames")


def of_parts(parts: Parts, hidden: Collection[str] = ()) -> AtHand:
    """What there is in a data folder that is open.

    Parameters
    ----------
    hidden
        Watchlists and regions that are not to be told of, by how the names of their columns begin.
    """
    return _gathered(parts.declarations, parts.store, parts.catalogs, parts.frames, hidden)


def streams(found: AtHand) -> tuple[str, ...]:
    """Names of the streams there are, in order."""
    return tuple(sorted({*found.declarations, *NOTICE_STREAMS}))


def columns_of(stream: str, found: AtHand) -> list[ColumnInfo]:
    """Every column known of a stream.

    Raises
    ------
    UsageError
        There is no such stream.
    """
    return list(known_of(stream, found).columns)


def known_of(stream: str, found: AtHand) -> Known:
    """What is known of a stream's columns, and whether there can be others.

    Raises
    ------
    UsageError
        There is no such stream.
    """
    survey = stream in found.declarations
    if not survey and stream not in NOTICE_STREAMS:
        there = streams(found)
        raise UsageError(f"no stream {stream!r}{nearest(stream, there)}; there are {', '.join(there)}")
    if survey:
        packet, note, older = _packet(stream, found)
        ours = [*words.sky_maps(), *words.light_curve()]
        absent = {each.name: (each.type, "notices alone have it") for each in words.own_map()}
    else:
        packet, note, older = _notice(stream, found)
        ours = words.own_map()
        absent = {each.name: (each.type, "surveys alone have it") for each in (*words.sky_maps(), *words.light_curve())}
    classes = (each for _, each in _notice_fields() if each.name.startswith("classification."))
    absent |= {each.name: (each.type, "notices of LVK and GCN alone have it") for each in classes}
    lists = found.lists or {}
    named = words.lists(lists.get("watchlist", ()), lists.get("moc", ()))
    told = _unique([*words.common(survey=survey), *packet, *_catalogs(found), *ours, *named])
    names = {each.name for each in told}
    elsewhere = {name: each for name, each in {**older, **absent}.items() if name not in names}
    return Known(stream, tuple(told), whole=not note, note=note, elsewhere=elsewhere, lists=found.lists)


class _Opened:
    """A database, to be closed."""

    def __init__(self, url: str) -> None:
        self.store = engine.open_store(url)
        migrate.migrate(self.store)

    def close(self) -> None:
        engine.close(self.store)


def _gathered(
    declarations: Mapping[str, Declaration],
    store: engine.Store,
    built: tuple[Catalog, ...],
    frames: Path,
    hidden: Collection[str] = (),
) -> AtHand:
    seen: dict[str, list[Any]] = {}
    for row in schemas_seen.listing(store):
        seen.setdefault(row["stream"], []).insert(0, row["schema"])
    there = {"watchlist": watchlists.whose(store), "moc": regions.whose(store)}
    lists = {kind: [name for name in sorted(known) if f"{kind}.{name}" not in hidden] for kind, known in there.items()}
    return AtHand(declarations, seen, built, frames, lists)


def _unique(listed: Iterable[ColumnInfo]) -> list[ColumnInfo]:
    """Each name once: the first counts."""
    return list({each.name: each for each in reversed(list(listed))}.values())[::-1]


def _packet(stream: str, found: AtHand) -> tuple[list[ColumnInfo], str, dict[str, tuple[str, str]]]:
    """Fields of a survey's packets; why there can be others, or nothing; and those that only older packets have."""
    rule = found.declarations[stream]
    newest, *older = _shipped(stream) or [{}]
    seen = [fields for schema in found.seen.get(stream, ()) if (fields := _fields(schema))]
    fields = _merged(seen) if seen else dict(newest)
    for name, each in fields.items():
        known = newest.get(name)
        if known is not None and not each.meaning:
            fields[name] = SchemaField(each.type, each.unit or known.unit, known.meaning)
    told = [
        ColumnInfo(
            name, "text" if name in rule.text else each.type, each.unit, each.meaning or "as the survey has it", "packet"
        )
        for name, each in fields.items()
    ]
    declared = sorted(paths_of(rule, history=False) - fields.keys())
    told += (
        []
        if fields
        else [ColumnInfo(name, "unknown", "", "the declaration names it", "packet") for name in declared if "[]" not in name]
    )
    note = "" if fields else f"no packet of {stream} has been met here and no schema of it is at hand"
    past = {name: (each.type, "only older packets have it") for one in older for name, each in one.items()}
    past |= dict.fromkeys(declared, ("unknown", "the declaration names it, and no schema at hand has it"))
    return told, note, {name: each for name, each in past.items() if name not in fields}


@cache
def _shipped(stream: str) -> list[dict[str, SchemaField]]:
    """Fields of the schemas that come with Nuncius or its packages, newest first."""
    if stream == "ztf":
        return [_fields(ztf_schema.schema())]
    return [_fields(schema) for schema in LsstPackage().candidates(stream)]


def _fields(schema: Any) -> dict[str, SchemaField]:
    try:
        return fields_of(schema)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):  # what strangers sent need be no schema
        return {}


def _merged(schemas: Sequence[Mapping[str, SchemaField]]) -> dict[str, SchemaField]:
    """Fields of several schemas, newest first: what they differ in is of the wider type."""
    merged: dict[str, SchemaField] = {}
    for one in schemas:
        for name, each in one.items():
            known = merged.setdefault(name, each)
            if known.type != each.type:
                numbers = {known.type, each.type} == {"integer", "number"}
                merged[name] = SchemaField("number" if numbers else "unknown", known.unit, known.meaning)
    return merged


def _notice(stream: str, found: AtHand) -> tuple[list[ColumnInfo], str, dict[str, tuple[str, str]]]:
    """Fields of a stream's notices, and why there can be others."""
    told = _coincidence() if stream == COINCIDENCE_STREAM else []
    told += [each for streams_, each in _notice_fields() if stream in streams_]
    if stream in _CLOSED:
        return told, "", {}
    names = {each.name for each in told}
    if found.frames is not None and found.frames.is_dir():
        kept = columns.scan(found.frames, [stream]).collect_schema()
        ours = {each.name for each in (*words.sky_maps(), *words.light_curve(), *words.own_map(), *_catalogs(found))}
        told += [
            ColumnInfo(name, type_of(dtype), "", "met in notices kept here", "notice")
            for name, dtype in kept.items()
            if name not in names | ours | COMMON.keys() and not name.startswith(("_", "nuncius.", "watchlist.", "moc."))
        ]
    return told, f"notices of {stream} can have any field", {}


@cache
def _notice_fields() -> tuple[tuple[frozenset[str], ColumnInfo], ...]:
    """Fields of notices, each with the streams it is on."""
    text = (shipped("schemas") / "notices" / "fields.csv").read_text("utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return tuple(
        (frozenset(row["streams"].split()), ColumnInfo(row["name"], row["type"], row["unit"], row["meaning"], "notice"))
        for row in csv.DictReader(lines, strict=True)
    )


def _coincidence() -> list[ColumnInfo]:
    """Fields of our own notices of coincidences, as their schema has them: their times are texts."""
    schema = next(one.schema for one in load_published(shipped("schemas")) if one.name == "nuncius.coincidence")
    kinds = {"time": "text", "integer": "number"}
    return [
        ColumnInfo(f"coincidence.{name}", kinds.get(each.type, each.type), each.unit, each.meaning, "notice")
        for name, each in fields_of(schema).items()
    ]


def _catalogs(found: AtHand) -> list[ColumnInfo]:
    built = {one.name: one for one in found.catalogs or ()}
    told: list[ColumnInfo] = []
    for name in dict.fromkeys([*words.CATALOGS, *built]):
        one = built.get(name)
        ours = words.CATALOGS.get(name, {})
        if one is not None and not ours:
            units = one.meta.get("units") or {}
            ours = {
                column: (
                    "text" if values.dtype.kind == "S" else type_of(_dtype(values)),
                    units.get(column, ""),
                    "as in its table",
                )
                for column, values in one.columns.items()
            }
        note = "" if one is not None or found.catalogs is None else f"; null until it is built: nuncius catalog add {name}"
        told += words.catalog_columns(name, ours, note)
    return told


def _dtype(values: Any) -> Any:
    return pl.Series(values[:0]).dtype
