"""Which events of different messengers came close: looked for whenever one of them changes, kept, and told.

Windows, rates and the test of what is significant are RAVEN's, with its formulas (`broker.science.coincidence`); all of them
can be set. Offsets are second minus first event; the first is the gravitational wave, or the burst where there is none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from io import BytesIO
from typing import Any, Final

import fastavro

from broker import topics
from broker.decode.coincidence import MARK
from broker.deliver.publish import CONTENT_TYPE
from broker.deliver.schema import Published, framing, newest
from broker.errors import NotFoundError, SkyMapError
from broker.ingest.raw import Kind, Received, to_message
from broker.record import Message
from broker.science import coincidence
from broker.science.overlap import combine, overlap
from broker.science.sky import hpx_to_radec
from broker.science.skymap import SkyMap, area, distance_moments
from broker.settings import CoincidencesTable
from broker.store import alerts, coincidences
from broker.store.coincidences import LIVE, RETRACTED
from broker.store.events import events_after
from broker.store.revisions import EventChange
from broker.telemetry import COINCIDENCES, get_logger
from broker.wiring.live_maps import keep_map, load_map
from broker.wiring.parts import Parts

__all__ = ["coincide"]

log = get_logger(__name__)

Event = Mapping[str, Any]
Pair = dict[str, Any]

STREAM: Final = "coincidence"
JSON: Final = "application/x-nuncius-coincidence+json"
SUPERNOVA_MISSIONS: Final = frozenset({"snews", "super-kamiokande"})
FRB_MISSIONS: Final = frozenset({"chime", "dsa-110", "dsa110"})
UNKNOWN_MAP: Final = "one of the events has no sky map"


def coincide(parts: Parts, changes: Sequence[EventChange]) -> list[Message]:
    """Look for what the changed events coincide with, keep it, and tell.

    Returns
    -------
    list of Message
        Of ``coincidences``, and of ``raw.coincidence``, from where each goes on to filters. The same if the batch is done
        again.
    """
    table = parts.settings.coincidences
    last = {change.event_name: change for change in changes if change.real or table.tests}
    messages: list[Message] = []
    asked = [(change.event_name, change.revision) for change in last.values()]
    for event in events_after(parts.store, asked):
        pairs = {(pair["first_event"], pair["second_event"]): pair for pair in _pairs(parts, event)}
        for known in coincidences.of_event(parts.store, event["event_name"]):
            names = known["first_event"], known["second_event"]
            if names not in pairs and (gone := _ended(known, event)) is not None:
                pairs[names] = gone
        coincidences.keep(parts.store, list(pairs.values()))
        for pair in pairs.values():
            COINCIDENCES.labels(pair["kind"]).inc()
            messages += _messages(pair)
    return messages


def _pairs(parts: Parts, event: Event) -> list[Pair]:
    """Pairs with every other event that comes close enough in time."""
    table = parts.settings.coincidences
    if event["state"] == "retracted" or event["time"] is None:
        return []
    longest = max(max(-low, high) for low, high in table.windows.values())
    found = []
    for other in coincidences.near(parts.store, event["time"], longest, longest, real=event["real"]):
        if other["event_name"] == event["event_name"] or other["state"] == "retracted":
            continue
        for first, second in ((event, other), (other, event)):
            kind = _kind(parts, first, second)
            if kind is not None and (pair := _pair(parts, kind, first, second)) is not None:
                found.append(pair)
    return found


def _kind(parts: Parts, first: Event, second: Event) -> str | None:
    """What a pair is, as windows are named; ``None`` for one that is not looked for, or the other way round."""
    table = parts.settings.coincidences
    if first["messenger"] == "GW" and second["messenger"] != "GW":
        external = _external(table, second)
        kind = external and f"{external}_{_group(parts, first)}"
    elif first["messenger"] == "EM" and second["messenger"] == "Neutrino":
        kind = f"{_external(table, first)}_{_external(table, second)}"
    else:
        kind = None
    return kind if kind in table.windows else None


def _external(table: CoincidencesTable, event: Event) -> str | None:
    """Kind of an event that is no gravitational wave; ``None`` for one of no kind that is looked for."""
    mission = (event["mission"] or "").lower()
    if event["messenger"] == "Neutrino":
        return "SN" if mission in SUPERNOVA_MISSIONS else "HEN"
    if event["messenger"] != "EM":
        return None
    if mission in FRB_MISSIONS:
        return "FRB"
    if event["far"] is not None and mission in {"fermi", "swift"}:  # searches that say how often they are wrong
        return "SubFermi" if mission == "fermi" else "SubSwift"
    return "GRB" if mission in {name.lower() for name in table.grb_missions} else None


def _group(parts: Parts, event: Event) -> str:
    """``CBC`` or ``Burst``, as the notice says, else by whether the event has a class of compact binaries."""
    try:
        said = alerts.get(parts.store, event["alert_id"])["annotations"]
    except NotFoundError:
        said = {}
    named = [str(value) for name, value in said.items() if name.lower().rpartition(".")[2] == "group"]
    return "Burst" if "burst" in {name.lower() for name in named} or not (named or event["classification"]) else "CBC"


def _pair(parts: Parts, kind: str, first: Event, second: Event) -> Pair | None:
    """What is to be said of two events; ``None`` where they are too far apart in time."""
    table = parts.settings.coincidences
    window = table.windows[kind]
    dt = (second["time"] - first["time"]).total_seconds()
    if not window[0] <= dt <= window[1]:
        return None
    temporal = _temporal(table, kind, first, second)
    pair = _blank(kind, first, second) | {"dt": dt, "far_temporal": temporal}
    maps = [_map(parts, event) for event in (first, second)]
    if maps[0] is None or maps[1] is None:
        return pair | {"reason": UNKNOWN_MAP}
    shared = overlap(maps[0], maps[1])
    joint = None if temporal is None else coincidence.space_time(temporal, shared)
    pair |= {"overlap": shared, "far_space_time": joint, "publishable": _publishable(table, kind, joint, real=first["real"])}
    try:
        return pair | _combined(parts, pair, combine(maps[0], maps[1]))
    except SkyMapError as error:
        return pair | {"reason": str(error)}


def _blank(kind: str, first: Event, second: Event) -> Pair:
    empty = dict.fromkeys(
        ("reason", "far_space_time", "overlap", "map_path", "ra", "dec", "area50", "area90", "distmean", "diststd")
    )
    return empty | {
        "first_event": first["event_name"],
        "second_event": second["event_name"],
        "first_revision": first["revision"],
        "second_revision": second["revision"],
        "first_messenger": first["messenger"],
        "second_messenger": second["messenger"],
        "second_mission": second["mission"],
        "kind": kind,
        "state": LIVE,
        "real": first["real"],
        "time": first["time"],
        "publishable": False,
        "updated": max(first["updated"], second["updated"]),
    }


def _temporal(table: CoincidencesTable, kind: str, first: Event, second: Event) -> float | None:
    """False alarm rate in time; ``None`` where a gravitational wave has none of its own."""
    window = table.windows[kind]
    external = kind.partition("_")[0]
    rates = {name: per_year / coincidence.YEAR for name, per_year in table.rates.items()}
    if first["messenger"] != "GW":
        return coincidence.untargeted(window, rates[external], rates[kind.partition("_")[2]])
    if first["far"] is None:
        return None
    if external in table.targeted:
        thresholds = (table.targeted[external], table.gw_threshold)
        return coincidence.targeted(window, second["far"], first["far"], thresholds)
    return coincidence.untargeted(window, rates[external], first["far"])


def _publishable(table: CoincidencesTable, kind: str, joint: float | None, *, real: bool) -> bool:
    """RAVEN's test. Searches below their own threshold are never published without somebody looking at them."""
    external, _, group = kind.partition("_")
    if joint is None or not real or external in table.targeted or group not in table.trials:
        return False
    return coincidence.publishable(joint, table.trials[group], table.significant[group] / coincidence.YEAR)


def _map(parts: Parts, event: Event) -> SkyMap | None:
    if event["map_path"] is None:
        return None
    try:
        return load_map(parts, event["map_path"])
    except NotFoundError as error:
        log.warning("sky map is gone", event_name=event["event_name"], reason=str(error))
        return None


def _combined(parts: Parts, pair: Pair, both: SkyMap) -> Pair:
    name = coincidences.identifier(pair["first_event"], pair["second_event"])
    densest = int(both.density.argmax())
    ra, dec = hpx_to_radec((both.start[densest] + both.stop[densest]) // 2)
    moments = distance_moments(both) or (None, None)
    return {
        "map_path": keep_map(parts, name, _revision(pair), both),
        "ra": float(ra),
        "dec": float(dec),
        "area50": area(both, 0.5),
        "area90": area(both, 0.9),
        "distmean": moments[0],
        "diststd": moments[1],
    }


def _ended(known: Pair, event: Event) -> Pair | None:
    """A pair that holds no more; ``None`` for one that had ended before this revision."""
    which = "first" if known["first_event"] == event["event_name"] else "second"
    ended = {name: value for name, value in known.items() if name != "id"}
    if known["state"] == RETRACTED and known[f"{which}_revision"] != event["revision"]:
        return None
    reason = "retracted" if event["state"] == "retracted" else "no longer close in time"
    return ended | {
        "state": RETRACTED,
        "reason": f"{event['event_name']} is {reason}",
        f"{which}_revision": event["revision"],
        "publishable": False,
        "updated": max(known["updated"], event["updated"]),
    }


def _revision(pair: Pair) -> str:
    return f"{pair['first_revision']}.{pair['second_revision']}"


def _messages(pair: Pair) -> list[Message]:
    name = coincidences.identifier(pair["first_event"], pair["second_event"])
    told = pair | {"id": name, "revision": _revision(pair)}
    published, schema = _schema()
    record = {field["name"]: told[field["name"]] for field in published.schema["fields"]}
    written = BytesIO()
    written.write(framing(published.id))
    fastavro.schemaless_writer(written, schema, record)
    headers = ((topics.HEADER_STATE, pair["state"].encode()), (topics.HEADER_CONTENT_TYPE, CONTENT_TYPE))
    text = json.dumps({"nuncius": MARK, **record}, default=_text, sort_keys=False).encode()
    again = to_message(Received(text, f"nuncius:{name}"), Kind(STREAM, JSON, ordered=True))
    return [Message(topics.COINCIDENCES, written.getvalue(), name.encode(), headers), again]


def _text(value: object) -> str:
    assert isinstance(value, datetime)
    return value.isoformat()


@cache
def _schema() -> tuple[Published, Any]:
    published = newest("nuncius.coincidence")
    return published, fastavro.parse_schema(published.schema)
