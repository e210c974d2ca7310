"""Which columns there can be, whether or not a frame has them yet, and in the packets of which streams they are looked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any

from broker.alert import COMMON
from broker.decode.common import paths_of
from broker.decode.program import UnusualSchemaError, field_paths
from broker.errors import UsageError
from broker.filtering.columns import LISTS
from broker.process import associate, features, localise
from broker.process.watch import REGION_PREFIX, columns_of
from broker.store import catalogs, regions, schemas_seen, watchlists
from broker.wiring.parts import Parts

__all__ = ["added", "by_steps", "sources_of", "suggestion"]

_BESIDE = frozenset({*catalogs.known(), "watchlist", "moc"})


def added(parts: Parts) -> frozenset[str]:
    """Columns that our own steps add: null for an alert that was worked on before they were wanted."""
    catalogs = (f"{each.name}.{name}" for each in parts.catalogs for name in ("sep", "id", *each.columns))
    lists = (column for each in watchlists.listing(parts.store) for column in columns_of(each.name))
    mocs = (f"{REGION_PREFIX}{each.name}" for each in regions.listing(parts.store))
    return frozenset([*catalogs, *associate.COLUMNS, *features.COLUMNS, *localise.COLUMNS, *lists, *mocs])


def by_steps(name: str) -> bool:
    """Whether it is a column that a step of ours makes from what lies beside the packet: catalogues, maps, people's lists."""
    return name in associate.COLUMNS or name in localise.COLUMNS or name.partition(".")[0] in _BESIDE


def sources_of(
    parts: Parts, names: Collection[str], streams: Collection[str], kept: Collection[str] = ()
) -> Mapping[str, frozenset[str]]:
    """Names to be looked for in packets, by stream.

    Those of surveys are held against the schemas met and the declarations; what fields notices have is known to none but them.

    Parameters
    ----------
    streams
        Streams there are packets of.
    kept
        Columns of the frames, for the suggestion.

    Raises
    ------
    UsageError
        A name can be in no packet, nor is it one we add.
    """
    ours = added(parts)
    sought = frozenset(name for name in names if name not in ours and name.partition(".")[0] not in LISTS)
    fields = _survey_fields(parts)
    found: dict[str, frozenset[str]] = {}
    surveys = frozenset().union(*(fields.get(stream) or () for stream in streams))
    for stream in streams:
        paths = fields.get(stream)
        anything = stream not in parts.declarations or paths is None  # a notice, or a survey whose schema nobody can read
        found[stream] = sought - surveys if anything or paths is None else sought & paths
    known = frozenset().union(*(paths for paths in fields.values() if paths is not None))
    unknown = sorted(sought - known - frozenset().union(*found.values()))
    if unknown:
        raise UsageError(f"no packet has a field {unknown[0]!r}{suggestion(parts, unknown[0], kept)}")
    return found


def suggestion(parts: Parts, name: str, kept: Collection[str]) -> str:
    """``: did you mean ...?`` where a name is near that is known of the packets, of our steps or of the frames (`kept`)."""
    known = {*COMMON, *kept, *added(parts)}.union(*(paths or () for paths in _survey_fields(parts).values()))
    near = get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f": did you mean {near[0]}?" if near else ": GET alerts/ID/fields shows those of an alert"


def _survey_fields(parts: Parts) -> Mapping[str, frozenset[str] | None]:
    """Paths of each survey's packets; ``None`` where a schema of it cannot be listed."""
    schemas: dict[str, list[Any]] = defaultdict(list)
    for row in schemas_seen.listing(parts.store):
        schemas[row["stream"]].append(row["schema"])
    return {stream: _paths(schemas[stream], paths_of(rule, history=False)) for stream, rule in parts.declarations.items()}


def _paths(schemas: Collection[Any], declared: frozenset[str]) -> frozenset[str] | None:
    try:
        return declared.union(*(field_paths(schema) for schema in schemas))
    except (UnusualSchemaError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
