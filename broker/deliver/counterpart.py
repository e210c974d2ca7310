"""An optical alert in an event's sky map, as others are told of it: what GCN's and SCiMMA's messages have in common."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

import polars as pl

__all__ = ["INSTRUMENTS", "Change", "Counterpart", "Crossmatch", "Known", "Point", "counterpart", "delivery_id", "points"]

Change = Literal["initial", "update", "retraction"]

DAYS: Final = 30.0  # before the alert, of light curve that is sent along
POINTS: Final = 200  # of light curve at most, the latest
_SPACE: Final = uuid.UUID("b8a1c9b4-6f0e-5d3a-9c64-0f5a7f6f3c1e")

INSTRUMENTS: Final = {
    "ztf": ("Palomar 1.2m Oschin", "ZTF", "ztf"),
    "lsst": ("Simonyi Survey Telescope", "LSSTCam", "lsst"),
    "atlas": ("Asteroid Terrestrial-impact Last Alert System", "ATLAS", "atlas"),
    "decat": ("Blanco 4m", "DECam", "decam"),
    "pgir": ("Palomar Gattini-IR", "Gattini", "pgir"),
    "winter": ("Palomar 1m WINTER", "WINTER", "winter"),
}
"""Of each stream the telescope, the instrument, and what the names of its filters begin with."""


@dataclass(frozen=True, slots=True)
class Crossmatch:
    """An event in whose map the alert lies.

    Parameters
    ----------
    name
        Of the event.
    kind
        ``GW``, ``GRB``, ``neutrino``, ...; empty where unknown.
    reporter
        Mission and instrument, as ``Fermi-GBM``.
    notice
        Id of the notice that brought the map.
    revision
        Of the event.
    level
        Smallest credible region that holds the alert; ``None`` where it is in the map no more.
    dt
        Seconds from the event to the alert.
    """

    name: str
    kind: str = ""
    reporter: str = ""
    notice: str = ""
    revision: int | None = None
    level: float | None = None
    dt: float | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """A measurement of brightness, AB; either a magnitude or a limit.

    Parameters
    ----------
    time
        UTC.
    """

    time: datetime
    band: str
    mag: float | None = None
    mag_err: float | None = None
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class Counterpart:
    """An alert that others are told of.

    Parameters
    ----------
    id
        The same whenever the same thing is told.
    told
        When it was matched, UTC.
    alert
        The record of ``matched.<filter>``.
    events
        In whose maps it lies, the deepest first.
    """

    id: uuid.UUID
    told: datetime
    change: Change
    alert: Mapping[str, Any]
    events: tuple[Crossmatch, ...]
    points: tuple[Point, ...]
    test: bool = False

    @property
    def name(self) -> str:
        """What the source is called."""
        return str(self.alert.get("object_id") or self.alert["alert_id"])


@dataclass(frozen=True, slots=True)
class Known:
    """What else we know.

    Parameters
    ----------
    event
        As the database has it, by name.
    curve
        Light curve, by the object's id.
    told
        By event and alert, the credible level told last; ``None`` where nothing was, or it was taken back.
    """

    event: Callable[[str], Mapping[str, Any] | None]
    curve: Callable[[str], pl.DataFrame]
    told: Callable[[str, str], float | None] = lambda _event, _alert: None


def counterpart(
    alert: Mapping[str, Any],
    told: datetime,
    known: Known,
    *,
    level: float = 1.0,
    update: str | None = None,
    event: str | None = None,
    revision: int | None = None,
    test: bool = False,
) -> Counterpart | None:
    """What is to be told of a match; ``None`` for one that lies in no event's map.

    Parameters
    ----------
    level
        Credible level up to which an alert counts as in a map.
    update, event, revision
        Why the match was published again (``rescored``, ``retracted``), and by which revision of which event; then others are
        told of that event only.
    test
        Whether it goes out as a test; if not, events that are none are left out.
    """
    maps = sorted(alert.get("skymaps") or (), key=lambda each: (each["credible_level"], each["event"]))
    change: Change = "initial"
    if update and event:
        maps = [each for each in maps if each["event"] == event]
        before = known.told(event, str(alert["alert_id"]))
        if update == "retracted" or not maps:
            if before is None:
                return None
            # Not the revision of now: what is taken back twice, and was told anew between, has two ids.
            by = revision if revision is not None else (known.event(event) or {}).get("revision")
            change, maps = "retraction", [{"event": event, "revision": by}]
        elif before is not None:
            change = "update"  # told whatever the level is now
    if change == "initial":
        maps = [each for each in maps if each["credible_level"] <= level]
    described = [(each, known.event(each["event"])) for each in maps]
    events = [_crossmatch(each, said or {}) for each, said in described if test or _is_real(said)]
    if not events:
        return None
    measured = points(known.curve(str(alert.get("object_id") or "")), alert)
    return Counterpart(delivery_id(alert, events, change), told, change, alert, tuple(events), measured, test)


def delivery_id(alert: Mapping[str, Any], events: Sequence[Crossmatch], change: Change) -> uuid.UUID:
    """Id of a message by what it says: of which alert, which revisions of which events, and whether it takes something back."""
    said = sorted(f"{event.name}#{event.revision}" for event in events)
    return uuid.uuid5(_SPACE, "\n".join([str(alert["alert_id"]), change, *said]))


def points(curve: pl.DataFrame, alert: Mapping[str, Any]) -> tuple[Point, ...]:
    """Light curve up to an alert, its latest part; without one, the alert's own measurement.

    Parameters
    ----------
    curve
        Columns ``time`` (MJD, UTC), ``mag``, ``mag_err``, ``band``, ``kind``, and where there are any ``limit`` and
        ``positive``. What is fainter than the reference is no brightness of a source, and left out.
    """
    when = alert.get("time")
    if when is not None and curve.height:
        end = _mjd(when)
        shown = curve.filter((pl.col("time") <= end + 1e-6) & (pl.col("time") > end - DAYS)).sort("time", "band")
        found = [point for row in shown.iter_rows(named=True) if (point := _point(row)) is not None]
        if found:
            return tuple(found[-POINTS:])
    if when is None or alert.get("mag") is None or alert.get("positive") is False:
        return ()
    return (Point(when, alert.get("band") or "", alert["mag"], alert.get("mag_err")),)


def _point(row: Mapping[str, Any]) -> Point | None:
    when = datetime.fromtimestamp(round((row["time"] - 40_587.0) * 86_400e3) / 1e3, UTC)
    if row["kind"] == "limit":
        limit = row["limit"] if row.get("limit") is not None else row.get("mag")
        return None if limit is None else Point(when, row["band"] or "", limit=limit)
    if row.get("mag") is None or row.get("positive") is False:
        return None
    return Point(when, row["band"] or "", row["mag"], row.get("mag_err"))


def _crossmatch(each: Mapping[str, Any], known: Mapping[str, Any]) -> Crossmatch:
    reporter = "-".join(part for part in (known.get("mission"), known.get("instrument")) if part)
    return Crossmatch(
        each["event"],
        _kind(each["event"], known.get("messenger")),
        reporter,
        str(known.get("alert_id") or ""),
        each.get("revision"),
        each.get("credible_level"),
        each.get("dt"),
    )


def _kind(name: str, messenger: str | None) -> str:
    if messenger == "EM":
        return "FRB" if name.upper().startswith("FRB") else "GRB"
    return {"GW": "GW", "Neutrino": "neutrino"}.get(messenger or "", "")


def _is_real(event: Mapping[str, Any] | None) -> bool:
    return event is None or bool(event.get("real", True))


def _mjd(when: datetime) -> float:
    return when.timestamp() / 86_400.0 + 40_587.0
