"""What a change of an event means for alerts that came before it.

A new map is held against the recent alerts; those it holds, holds at another level, or no longer holds are kept as such, and
told to whoever reads the filters that ask for such sky maps. A retraction is told to all who were told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from sqlalchemy import Connection

from broker.deliver.selected import selected
from broker.errors import NotFoundError
from broker.filtering.definition import FilterSpec
from broker.process.associate import LiveMap
from broker.record import Message
from broker.science.skymap import levels_at
from broker.store import associations, events, matches
from broker.store.associations import LEFT, LIVE
from broker.store.engine import connection, transaction
from broker.store.revisions import EventChange
from broker.telemetry import FILTER_ERRORS, MATCHES, get_logger
from broker.wiring import held, recent
from broker.wiring.live_maps import LiveMapsNow, distances_of
from broker.wiring.parts import Parts
from broker.wiring.updates import RESCORED, RETRACTED, tell

__all__ = ["rescore"]

log = get_logger(__name__)

FEW: Final = 4
"""So many events are looked at without asking first whether there are alerts at all in their time."""


@dataclass(frozen=True, slots=True)
class _Subject:
    """An event that changed.

    Parameters
    ----------
    revision
        Its latest.
    causes
        Notices of the batch. What one of them changed already was changed by this very batch, done before.
    version
        State of the events in which the map was asked for.
    live
        Its map; ``None`` where no alert is to be held against one.
    filters
        Those that ask for maps of its kind.
    """

    name: str
    revision: int
    causes: tuple[str, ...]
    version: int
    retracted: bool
    live: LiveMap | None
    filters: tuple[FilterSpec, ...]


@dataclass(frozen=True, slots=True)
class _Found:
    """What changed: pairs of filter and alert id to be told, best first, and when the alerts were that are gone."""

    rescored: pl.DataFrame
    retracted: pl.DataFrame
    gone: pl.DataFrame


def rescore(parts: Parts, changes: Sequence[EventChange]) -> list[Message]:
    """Hold recent alerts against maps that changed, keep what is found, and tell who is to be told.

    Returns
    -------
    list of Message
        Of ``matched.*``: alerts newly matched or told again, with the header ``nuncius.update``. The same if the batch is
        done again.
    """
    by_event: dict[str, list[EventChange]] = {}
    for change in changes:
        if change.real or parts.settings.associate.tests:
            by_event.setdefault(change.event_name, []).append(change)
    live_maps = LiveMapsNow(parts)
    found: list[Message] = []
    for name, some in _concerned(parts, by_event, live_maps):
        live_maps.changed()
        subject = _subject(parts, live_maps, name, some)
        if held.calls(some) or _stale(parts, subject):
            found += _event(parts, subject, live_maps)
    return found


def _concerned(
    parts: Parts, by_event: Mapping[str, list[EventChange]], live_maps: LiveMapsNow
) -> Iterable[tuple[str, list[EventChange]]]:
    """Events that alerts may lie in. It is worth asking of many only: few events of a month taken in at once have any."""
    if len(by_event) <= FEW:
        return by_event.items()
    there = associations.concerned(parts.store, list(by_event), recent.times(parts), live_maps.windows)
    return [item for item in by_event.items() if item[0] in there]


def _stale(parts: Parts, subject: _Subject) -> bool:
    """Whether a notice without a map changed which map counts, as one can that joins two events."""
    with connection(parts.store) as conn:
        return associations.stale(conn, subject.name, subject.live.revision if subject.live else None)


def _subject(parts: Parts, live_maps: LiveMapsNow, name: str, changes: Sequence[EventChange]) -> _Subject:
    causes, version = tuple(change.alert_id for change in changes), live_maps.version
    try:
        event = events.get_event(parts.store, name)
    except NotFoundError:  # its notices have gone over to another event since
        return _Subject(name, changes[-1].revision, causes, version, False, None, parts.filters)
    retracted = event["state"] == "retracted"
    live = None if retracted or event["time"] is None else live_maps.of(event["event_name"], event["messenger"], event["time"])
    concerned = tuple(spec for spec in parts.filters if held.concerned(spec, event["messenger"]))
    return _Subject(event["event_name"], event["revision"], causes, version, retracted, live, concerned)


def _event(parts: Parts, subject: _Subject, live_maps: LiveMapsNow) -> list[Message]:
    rows = recent.inside(parts, subject.live, live_maps, subject.filters) if subject.live else pl.DataFrame()
    here = associations.of_frame(rows, distances_of(parts)).filter(pl.col("event_name") == subject.name)
    picked = held.picked(subject.filters, rows, _fault)
    with transaction(parts.store) as conn:
        found = _compared(conn, subject, here, picked, rows)
    found = _capped(found, subject.name, parts.settings.associate.most_updates)
    gone = recent.by_id(parts, found.gone, live_maps, subject.filters)
    return [
        *tell(parts, found.retracted, gone, subject.filters, event=(subject.name, subject.revision), update=RETRACTED),
        *tell(parts, found.rescored, rows, subject.filters, event=(subject.name, subject.revision), update=RESCORED),
    ]


def _fault(name: str, stream: str, message: str) -> None:
    FILTER_ERRORS.labels(name).inc()
    log.error("filter failed", filter=name, stream=stream, reason=message)


def _compared(conn: Connection, subject: _Subject, here: pl.DataFrame, picked: pl.DataFrame, rows: pl.DataFrame) -> _Found:
    """Keep what is new; tell what changed for whom."""
    known = associations.of_event(conn, subject.name)
    again, live = pl.col("cause").is_in(subject.causes).fill_null(value=False), pl.col("state") == LIVE
    before = known.with_columns(
        pl.when(again).then("previous_level").when(live).then("credible_level").alias("was_level"),
        pl.when(again).then("previous_volume").when(live).then("volume_level").alias("was_volume"),
    )
    was = before.select("alert_id", "was_level", "was_volume", "cause", "previous_level", "previous_volume")
    inside = held.compared(here, was)
    gone = before.filter(live | pl.col("was_level").is_not_null()).join(inside, on="alert_id", how="anti")
    _keep(conn, subject, inside.with_columns(pl.lit(LIVE).alias("state")))
    _keep(conn, subject, _gone(subject, gone))
    told = associations.told(conn, subject.name, [spec.name for spec in subject.filters])
    changed = inside.filter("moved")
    new = picked.join(changed, on="alert_id", how="semi").join(told, on=["filter", "alert_id"], how="anti")
    there = associations.present(conn, new["alert_id"].unique().to_list())
    new = new.filter(pl.col("alert_id").is_in(list(there)))  # an alert whose own batch is under way will be picked by that
    matches.write(conn, _matches(subject.filters, rows, new.sort("filter", "alert_id")))
    for name, count in new.group_by("filter").len().iter_rows():
        MATCHES.labels(name).inc(count)
    names = ["filter", "alert_id"]
    again_told = pl.concat([told.select(names), new.select(names)]).unique()
    rescored = again_told.join(changed.select("alert_id", "credible_level"), on="alert_id")
    retracted = told.select(names).unique().join(gone.select("alert_id", "credible_level"), on="alert_id")
    order = ["credible_level", "alert_id", "filter"]
    return _Found(
        rescored.sort(order).select(names),
        retracted.sort(order).select(names),
        gone.select("alert_id", "time").join(retracted, on="alert_id", how="semi"),
    )


def _matches(filters: Sequence[FilterSpec], rows: pl.DataFrame, new: pl.DataFrame) -> list[matches.Match]:
    """Matches of ``filter, version, alert_id``, with what their filters send along."""
    if new.is_empty():
        return []
    place = {alert_id: number for number, alert_id in enumerate(rows["alert_id"])}
    by_filter = new.group_by("filter", maintain_order=True).agg("alert_id")
    picked = {name: np.array([place[one] for one in ids], np.int64) for name, ids in by_filter.iter_rows()}
    bare = rows.drop(name for name in rows.columns if name.startswith("nuncius."))
    along = {name: iter(values) for name, values in selected(bare, filters, picked).items()}
    return [matches.Match(name, version, one, next(along[name])) for name, version, one in new.iter_rows()]


def _keep(conn: Connection, subject: _Subject, rows: pl.DataFrame) -> None:
    """Keep rows; those that did not change keep what changed them last, whose batch may be done again."""
    kept = rows.with_columns(
        pl.when("moved").then(pl.lit(subject.causes[-1])).otherwise("cause").alias("cause"),
        pl.when("moved").then("was_level").otherwise("previous_level").alias("previous_level"),
        pl.when("moved").then("was_volume").otherwise("previous_volume").alias("previous_volume"),
    )
    associations.upsert_rows(conn, kept.drop("moved", "was_level", "was_volume"), subject.version)


def _gone(subject: _Subject, gone: pl.DataFrame) -> pl.DataFrame:
    """Rows of alerts that are no longer associated, with their level on the map that no longer holds them."""
    revision = subject.revision if subject.live is None else subject.live.revision
    state = associations.RETRACTED if subject.retracted else LEFT
    rows = gone.with_columns(
        pl.lit(subject.name).alias("event_name"),
        pl.lit(revision, pl.Int64).alias("revision"),
        pl.lit(state).alias("state"),
        pl.lit(value=True).alias("moved"),
        pl.coalesce("was_level", "credible_level").alias("was_level"),
    )
    if subject.live is None:
        return rows
    level, density = levels_at(subject.live.skymap, rows["hpx"].to_numpy())
    return rows.with_columns(
        pl.Series("credible_level", level),
        pl.Series("density", density),
        pl.lit(None, pl.Float64).alias("volume_level"),
    )


def _capped(found: _Found, event_name: str, most: int) -> _Found:
    """So many messages at most: the retracted first, then those deepest in the map."""
    number = found.retracted.height + found.rescored.height
    if number <= most:
        return found
    log.warning("more is to be told again than associate.most_updates allows", event_name=event_name, updates=number, told=most)
    retracted = found.retracted.head(most)
    return _Found(
        found.rescored.head(most - retracted.height),
        retracted,
        found.gone.join(retracted, on="alert_id", how="semi"),
    )
