"""Coincidences of events of different messengers: looked for whenever one of them changes, kept, and told.

What is told goes to ``coincidences``, and as a notice of stream ``coincidence`` the way of every alert, so that filters pick it
and queries find it. That stream belongs to no event, and so starts no further search.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import healpy
import numpy as np

from broker.deliver.coincidences import encode_coincidence, raw_coincidence
from broker.errors import NotFoundError, SkyMapError
from broker.record import Message
from broker.science.coincidence import space_time
from broker.science.overlap import combine, overlap
from broker.science.sky import ORDER
from broker.science.skymap import SkyMap, area
from broker.settings import CoincidencesTable
from broker.store import coincidences
from broker.store.coincidence_subjects import Subject, near, subjects
from broker.store.coincidences import DISJOINT, LIVE, Pair
from broker.store.engine import transaction
from broker.store.revisions import EventChange
from broker.telemetry import COINCIDENCES, get_logger
from broker.wiring.coincidence_kinds import Search, far_temporal, kind_of, may_be_published, reach, search_of
from broker.wiring.live_maps import keep_map, load_map
from broker.wiring.parts import Parts

__all__ = ["coincide"]

log = get_logger(__name__)

_APART = "the sky maps do not overlap: strong evidence against a common source"


@dataclass(frozen=True, slots=True)
class _Maps:
    """What the two sky maps say together; all ``None`` where one of them is missing."""

    overlap: float | None = None
    both: SkyMap | None = None


def coincide(parts: Parts, changes: Sequence[EventChange]) -> list[Message]:
    """Look for coincidences of events that changed, keep them, and tell what is new of them.

    Returns
    -------
    list of Message
        Of ``coincidences`` and ``raw.coincidence``; the same if the batch is done again.
    """
    table = parts.settings.coincidences
    counted = [change for change in changes if change.real or table.tests]
    names = {change.event_name for change in counted}
    if not names:
        return []
    searches = _searches(parts, names, table)
    before = coincidences.known(parts.store, names)
    if not searches and not before:
        return []
    found = {pair: _row(parts, search, table, before.get(pair)) for pair, search in searches.items()}
    causes = [change.alert_id for change in counted]
    with transaction(parts.store) as conn:
        told = coincidences.keep(conn, found, names, causes, causes[-1])
    for row in told:
        COINCIDENCES.labels(row["window"], row["state"]).inc()
    return [message for row in told for message in (encode_coincidence(row), raw_coincidence(row))]


def _searches(parts: Parts, names: Collection[str], table: CoincidencesTable) -> dict[Pair, Search]:
    """Pairs within their windows, of which at least one is of these events."""
    span = reach(table)
    changed = _placed(subjects(parts.store, names), table)
    if not changed:
        return {}
    others = _placed(near(parts.store, [time for time, _ in changed], span), table)
    times = [time for time, _ in others]
    found: dict[Pair, Search] = {}
    for time, one in changed:
        around = slice(bisect_left(times, time - span * 1e6), bisect_right(times, time + span * 1e6))
        for _, other in others[around]:
            search = None if one.messenger == other.messenger else search_of(one, other, table)
            if search is not None and search.first <= search.dt <= search.last:
                found[_pair(search)] = search
    return found


def _placed(some: Iterable[Subject], table: CoincidencesTable) -> list[tuple[int, Subject]]:
    """Those that a search could be for, each with its time, in order of that."""
    kept = [(one.time, one) for one in some if one.time is not None and not one.retracted and kind_of(one, table) is not None]
    return sorted(kept, key=lambda each: each[0])


def _pair(search: Search) -> Pair:
    return search.event.event_name, search.external.event_name, search.external.name


def _row(parts: Parts, search: Search, table: CoincidencesTable, before: Mapping[str, Any] | None) -> dict[str, Any]:
    """Columns of what the two events say together now."""
    event, external = search.event, search.external
    maps = _maps(parts, event, external)
    rate, message = far_temporal(search, table)
    apart = maps.overlap is not None and maps.both is None
    joint = None if rate is None or maps.overlap is None or apart else space_time(rate, maps.overlap)
    row: dict[str, Any] = {
        "state": DISJOINT if apart else LIVE,
        "message": _APART if apart else message,
        "real": event.real,
        "publishable": not apart and may_be_published(search, joint, table),
        "event": event.event_name,
        "event_kind": search.event_kind,
        "external": external.event_name,
        "external_name": external.name,
        "external_kind": search.external_kind,
        "classification": event.classification,
        "dt": search.dt,
        "window": search.window,
        "window_from": search.first,
        "window_to": search.last,
        "far_temporal": rate,
        "far_space_time": joint,
        "overlap": maps.overlap,
    }
    for name, subject in (("event", event), ("external", external)):
        kept = ("messenger", "mission", "revision", "time", "far")
        row |= {f"{name}_{column}": getattr(subject, column) for column in kept}
    return row | (_measured(parts, search, maps.both, before) if maps.both is not None else {})


def _maps(parts: Parts, event: Subject, external: Subject) -> _Maps:
    if event.map_path is None or external.map_path is None:
        return _Maps()
    try:
        one, other = (load_map(parts, path) for path in (event.map_path, external.map_path))
    except (NotFoundError, SkyMapError) as error:
        log.warning("no overlap of sky maps", event_name=event.name, external=external.name, reason=str(error))
        return _Maps()
    found = overlap(one, other)
    try:
        return _Maps(found, combine(one, other))
    except SkyMapError:
        return _Maps(0.0)


def _measured(parts: Parts, search: Search, both: SkyMap, before: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the combined map says, and where it is kept."""
    peak = int(np.argmax(both.density))
    ra, dec = _centre(int(both.start[peak]), int(both.stop[peak]))
    found: dict[str, Any] = {
        "ra": ra,
        "dec": dec,
        "area50": area(both, 0.5),
        "area90": area(both, 0.9),
        "distmean": both.facts.distmean,
        "diststd": both.facts.diststd,
    }
    event, external = search.event, search.external
    name = f"{event.event_name}+{external.name}"
    key = f"{event.revision}+{external.revision}"
    if before is None or before["map_path"] is None or any(before[column] != value for column, value in found.items()):
        return found | {"map_path": keep_map(parts, name, key, both)}
    return found | {"map_path": before["map_path"]}


def _centre(start: int, stop: int) -> tuple[float, float]:
    """Middle of a range of order-29 cells, degrees: of the cell that it is, if it is one of a coarser order."""
    order = ORDER - ((stop - start).bit_length() - 1) // 2
    shift = 2 * (ORDER - order)
    whole = stop - start == 1 << shift and start % (1 << shift) == 0
    at = (order, start >> shift) if whole else (ORDER, (start + stop) // 2)
    ra, dec = healpy.pix2ang(1 << at[0], at[1], nest=True, lonlat=True)
    return float(ra), float(dec)
