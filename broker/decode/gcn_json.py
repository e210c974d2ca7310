"""GCN's unified JSON notices, heartbeats among them.

Nothing in GCN's core schema is required and its own examples break their schemas, so validation is soft: what can be read is
kept, and what departs is said in words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np

from broker.decode.notice import ALIVE, Notice, Position, name_event, position
from broker.decode.notice_json import as_number, as_text, flatten, unpack_map
from broker.decode.notice_names import burst_of_urls
from broker.decode.notice_time import parse_time
from broker.errors import DecodeError
from broker.identifiers import is_mock, messenger_of, mission_named, names_event
from broker.science.sky import separation

__all__ = ["from_unified", "is_heartbeat"]

_TIMES = ("trigger_time", "observation_start", "alert_datetime")
_TYPES = ("initial", "subsequent", "update", "retraction")
_TENSES = ("current", "archival", "planned", "injection", "commanded", "test")
_MESSENGERS = {"em": "EM", "gw": "GW", "neutrino": "Neutrino"}
_MISSIONS = {"icecube": "IceCube", "boom": "Boom", "einstein_probe": "Einstein Probe", "fermi": "Fermi", "swift": "Swift"}
# Missions, and instruments in small letters, whose notices may give for the event's name a source, which flares again.
_OF_SOURCES = frozenset({("Fermi", "lat"), ("MAXI", "gsc")})
_SCHEMA = re.compile(r"/gcn/notices/(.+?)\.schema\.json$")
_BULKY = frozenset({"healpix_file"})
_BLANK = re.compile(r"\s+")


def is_heartbeat(value: Mapping[str, Any]) -> bool:
    """Whether the object is GCN's sign of life: a time, and nothing else."""
    return "alert_datetime" in value and value.keys() <= {"$schema", "alert_datetime", "schema"}


def from_unified(value: dict[str, Any]) -> Notice:
    """Notice of a unified-schema object.

    Raises
    ------
    DecodeError
        If it has neither identifier nor time, or lies off the sphere.
    """
    if is_heartbeat(value):
        return ALIVE
    target = _first_target(value)
    notes: list[str] = []
    mission, source = _source(value)
    ids = as_text(value.get("id")) or as_text(value.get("obs_id"))
    given = as_text(value.get("event_name")) or as_text(target.get("event_name"))
    time, odd = _time(value)
    notes += odd
    if ids is None and given is None and time is None and as_text(value.get("ref_ID")) is None:
        raise DecodeError("no identifier and no time: not a notice")
    place, odd = _position(value, target)
    notes += odd
    skymap, odd = unpack_map(value.get("healpix_file"), "healpix_file")
    notes += odd
    kind, odd = _one_of(value, "alert_type", _TYPES)
    notes += odd
    tense, odd = _one_of(value, "alert_tense", _TENSES)
    notes += odd
    fields = flatten({key: item for key, item in value.items() if key not in _BULKY})
    messenger = _MESSENGERS.get((as_text(value.get("messenger")) or "").lower())
    names = _names(mission, value, target, time)
    flaring = _flaring(mission, value)
    refers = _references(value)
    if tense in {None, "current"} and any(map(is_mock, (*names, *refers))):
        tense = "test"
    return Notice(
        native_id=_identity(value, source, ids, given, kind),
        event_name=names[0] if names else None,
        names=names[1:],
        refers=tuple(name for name in refers if name not in names),
        related=_crossmatched(target),
        issued=parse_time(as_text(value.get("alert_datetime"))),
        serial=_serial(value),
        time=time,
        ra=place.ra,
        dec=place.dec,
        ra_dec_error=place.error,
        containment_probability=place.containment,
        messenger=messenger or messenger_of(mission) or messenger_of(mission_named(mission)),
        mission=mission,
        instrument=as_text(value.get("instrument")),
        alert_type=kind,
        alert_tense=tense or "current",
        far=_rate(value, notes),
        p_astro=_probability(value, notes),
        classification=_likeliest(value.get("classification") or target.get("classification_scores")),
        skymap=skymap,
        skymap_url=as_text(value.get("healpix_url")),
        deviations=tuple(notes),
        fields=fields | {"notice_type": source} | _of_source(source, flaring, value),
    )


def _texts(value: object) -> list[str]:
    """Text of a text or a number, or of each of a list."""
    return [text for each in (value if isinstance(value, list) else [value]) if (text := as_text(each)) is not None]


def _names(mission: str | None, value: Mapping[str, Any], target: Mapping[str, Any], time: datetime | None) -> tuple[str, ...]:
    """Every name the notice has for its event: what it calls it, then the numbers it counts it under.

    A source that flares is not its flare: what has no number of its own is called by source and day.
    """
    given = _texts(value.get("event_name")) or _texts(target.get("event_name"))
    flaring = _flaring(mission, value)
    named = [name_event(mission, text) for text in (*given, *_texts(value.get("id"))) if text not in flaring]
    if mission == "Fermi" and any(named):
        named.append(burst_of_urls(value.values()))
    if flaring and not any(named) and time is not None:
        named = [f"{flaring[0]} {time:%Y-%m-%d}"]
    return tuple(dict.fromkeys(name for name in named if name))


def _flaring(mission: str | None, value: Mapping[str, Any]) -> list[str]:
    """Sources that the notice gives for the event's name."""
    path = _path(value).split(".")
    instrument = (as_text(value.get("instrument")) or (path[1] if len(path) > 2 else "")).lower()
    if (mission, instrument) not in _OF_SOURCES:
        return []
    return [text for text in _texts(value.get("event_name")) if not names_event(text)]


def _of_source(source: str, flaring: list[str], value: Mapping[str, Any]) -> dict[str, str]:
    """Which source it is of, and a type that tells its flare from a burst, as those of GCN's classic notices do."""
    if not flaring:
        return {}
    return {"source_name": ",".join(flaring), "notice_type": f"{source}.{_path(value).rpartition('.')[2] or 'flare'}"}


def _references(value: Mapping[str, Any]) -> tuple[str, ...]:
    """Events of others that this is a notice of: ``ref_ID`` with ``ref_instrument``, and GUANO's ``follow_up_event``."""
    instruments = _texts(value.get("ref_instrument"))
    found = []
    for index, text in enumerate(_texts(value.get("ref_ID"))):
        whose = instruments[index] if index < len(instruments) else (instruments[-1] if instruments else None)
        found.append(name_event(mission_named(whose) or whose, text))
    found += [name_event(None, text) for text in _texts(value.get("follow_up_event"))]
    return tuple(dict.fromkeys(name for name in found if name and not name.isdecimal()))


def _crossmatched(target: Mapping[str, Any]) -> tuple[str, ...]:
    """Events whose maps a transient lies in: named beside it, and not the same as it."""
    listed = target.get("gcn_crossmatch")
    rows = [row for row in listed if isinstance(row, dict)] if isinstance(listed, list) else []
    named = (name_event(mission_named(as_text(row.get("ref_instrument"))), as_text(row.get("ref_ID"))) for row in rows)
    return tuple(dict.fromkeys(name for name in named if name))


def _serial(value: Mapping[str, Any]) -> int | None:
    number = as_number(value.get("record_number"))
    return int(number) if number is not None and number.is_integer() else None


def _first_target(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """First of the targets that optical brokers list under ``data``; empty if there are none."""
    data = value.get("data")
    targets = data.get("targets") if isinstance(data, dict) else None
    first = targets[0] if isinstance(targets, list) and targets else None
    return first if isinstance(first, dict) else {}


def _source(value: Mapping[str, Any]) -> tuple[str | None, str]:
    """Mission, and mission and instrument (else the schema's path) as one word for the identifier."""
    path = _path(value)
    first = path.partition(".")[0].lower()
    mission = as_text(value.get("mission")) or _MISSIONS.get(first, None if first in {"", "core"} else first)
    instrument = as_text(value.get("instrument"))
    named = ".".join(part for part in (as_text(value.get("mission")), instrument) if part)
    return mission, _BLANK.sub("_", named or path or "notice")


def _path(value: Mapping[str, Any]) -> str:
    """``fermi.lat.flare`` of the schema's address."""
    found = _SCHEMA.search((as_text(value.get("$schema")) or "")[:300])
    return found.group(1).replace("/", ".") if found else ""


def _identity(value: Mapping[str, Any], source: str, ids: str | None, given: str | None, kind: str | None) -> str:
    """``<source>:<id or event>:<alert type>:<record number or time>``, without the parts there are none of."""
    what = ids or given or as_text(value.get("ref_ID"))
    which = as_text(value.get("record_number")) or as_text(value.get("alert_datetime")) or as_text(value.get("trigger_time"))
    return _BLANK.sub("_", ":".join(part for part in (source, what, kind, which) if part))


def _time(value: Mapping[str, Any]) -> tuple[datetime | None, list[str]]:
    notes: list[str] = []
    for name in _TIMES:
        text = as_text(value.get(name))
        if text is None:
            continue
        if (time := parse_time(text)) is not None:
            return time, notes
        notes.append(f"{name} {text[:40]!r} cannot be read")
    return None, notes


def _position(value: Mapping[str, Any], target: Mapping[str, Any]) -> tuple[Position, list[str]]:
    """Position at the top, else of the first target, else nested where IceCube's track searches have it."""
    events = value.get("coincident_events")
    only = (
        events[0].get("localization") if isinstance(events, list) and len(events) == 1 and isinstance(events[0], dict) else None
    )
    for place in (value, target, only, value.get("localization"), value.get("most_probable_direction")):
        if isinstance(place, Mapping) and ("ra" in place or "dec" in place):
            ra, dec = as_number(place.get("ra")), as_number(place.get("dec"))
            radius, notes = _radius(place, ra, dec)
            found, odd = position(ra, dec, radius, as_number(place.get("containment_probability")))
            return found, notes + odd
    return Position(), []


def _radius(place: Mapping[str, Any], ra: float | None, dec: float | None) -> tuple[float | None, list[str]]:
    """Radius in degrees of the smallest circle around the position that holds the error region.

    The region is a circle, an ellipse (semi-axes and position angle), or a rectangle by its corners.
    """
    error = place.get("ra_dec_error")
    if isinstance(error, list):
        axes = [as_number(part) for part in error[:2]]
        good = [axis for axis in axes if axis is not None and axis >= 0.0]
        if not good or len(good) != len(axes):
            return None, ["ra_dec_error is no radius and no ellipse"]
        return max(good), [f"error ellipse {axes[0]:g} by {axes[1]:g} degrees: longer semi-axis taken"] if len(
            good
        ) == 2 else []
    if error is not None:
        radius = as_number(error)
        return radius, [] if radius is not None else ["ra_dec_error is not a number"]
    corners = place.get("rectangular_error_corners")
    if isinstance(corners, list) and corners and ra is not None and dec is not None:
        try:
            points = np.asarray(corners, dtype=np.float64).reshape(-1, 2)
        except (TypeError, ValueError):
            return None, ["rectangular_error_corners are no positions"]
        return float(separation(ra, dec, points[:, 0], points[:, 1]).max()), [
            "error rectangle: circle through its farthest corner taken"
        ]
    return None, []


def _one_of(value: Mapping[str, Any], name: str, allowed: tuple[str, ...]) -> tuple[str | None, list[str]]:
    text = as_text(value.get(name))
    if text is None or text in allowed:
        return text, []
    lower = text.lower()
    return lower, [f"{name} {text!r} is not one of {', '.join(allowed)}"] if lower not in allowed else [
        f"{name} {text!r} in capitals"
    ]


def _rate(value: Mapping[str, Any], notes: list[str]) -> float | None:
    rate = as_number(value.get("far"))
    if rate is None and value.get("far") is not None:
        notes.append("far is not a number")
    return rate if rate is not None and rate >= 0.0 else None


def _probability(value: Mapping[str, Any], notes: list[str]) -> float | None:
    chance = as_number(value.get("p_astro"))
    if chance is not None and not 0.0 <= chance <= 1.0:
        notes.append(f"p_astro of {chance:g} is not between 0 and 1")
        return None
    return chance


def _likeliest(classes: object) -> str | None:
    """Name of the largest number, of an object of probabilities by class; a text as it is."""
    if isinstance(classes, str):
        return classes or None
    if not isinstance(classes, dict):
        return None
    numbers = {name: number for name, item in classes.items() if (number := as_number(item)) is not None}
    return max(numbers, key=numbers.__getitem__) if numbers else None
