"""VOEvents 2.0 of what Nuncius knows: one for each revision of an event, one for each telling of a match.

Each cites what it follows, so that a reader of the packets alone can tell that two speak of one thing, and that a later one
takes an earlier one's place or takes it back.

References
----------
IVOA Sky Event Reporting Metadata 2.0 (VOEvent); the words of the Params follow GCN's unified schema where it has them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import quote

import voeventparse as vp
from lxml import objectify

__all__ = ["Sender", "Told", "event_voevent", "match_voevent"]


class Sender(NamedTuple):
    """Who sends.

    Parameters
    ----------
    authority
        The part of our ivorns that is ours: ``ivo://<authority>/events#...``.
    title
        Of the author, for people.
    api
        Address of the API, to refer to; empty for none.
    """

    authority: str
    title: str = "Nuncius"
    api: str = ""


class Told(NamedTuple):
    """Why a match goes out.

    Parameters
    ----------
    when
        When it was written, UTC.
    update
        ``rescored`` or ``retracted`` where it was told before; and for the sake of which revision of which event.
    """

    when: datetime
    update: str | None = None
    event: str | None = None
    revision: int | None = None


_EVENT_PARAMS = (
    ("event_name", "", "meta.id"),
    ("state", "", "meta.code"),
    ("alert_type", "", "meta.code"),
    ("messenger", "", ""),
    ("mission", "", "instr.obsty"),
    ("instrument", "", "instr"),
    ("far", "Hz", "arith.rate;stat.falsealarm"),
    ("p_astro", "", "stat.probability"),
    ("significant", "", "meta.code.status"),
    ("classification", "", "src.class"),
    ("area50", "deg2", "pos.errorEllipse"),
    ("area90", "deg2", "pos.errorEllipse"),
    ("distmean", "Mpc", "pos.distance"),
    ("diststd", "Mpc", "stat.error;pos.distance"),
    ("revision", "", "meta.version"),
    ("change", "", "meta.note"),
)
_ALERT_PARAMS = (
    ("alert_id", "", "meta.id;meta.main"),
    ("object_id", "", "meta.id"),
    ("stream", "", "meta.id"),
    ("mag", "mag", "phot.mag"),
    ("mag_err", "mag", "stat.error;phot.mag"),
    ("band", "", "instr.bandpass"),
    ("reliability", "", "stat.likelihood"),
    ("positive", "", ""),
    ("event_name", "", "meta.id"),
    ("mission", "", "instr.obsty"),
    ("classification", "", "src.class"),
)
_MAP_PARAMS = ("event", "revision", "credible_level", "density", "dt", "volume_level")
_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # in XML 1.0
_REAL = "observation"


def event_voevent(event: Mapping[str, Any], sender: Sender) -> bytes:
    """Packet of an event as its latest revision has it.

    Parameters
    ----------
    event
        As on topic ``events``: names as in GCN's unified schema, angles in degrees, ICRS; distances in Mpc.
    """
    name, revision = str(event["event_name"]), int(event["revision"])
    packet = vp.Voevent(f"{sender.authority}/events", _event_id(name, revision), _REAL if event.get("real", True) else "test")
    _who(packet, sender, event.get("updated"))
    _params(packet, event, _EVENT_PARAMS)
    _where(packet, event)
    if sender.api:
        reference = f"{sender.api.rstrip('/')}/api/v1/events/{quote(name)}"
        packet.What.append(vp.Param("event_page", value=reference, ucd="meta.ref.url"))
    vp.add_why(packet)
    packet.Why.append(_element("Name", name))
    cited = [(f"ivo://{sender.authority}/events#{_event_id(name, revision - 1)}", "supersedes")] if revision > 1 else []
    ivorn = str(event.get("alert_id") or "").partition(":")[2].partition(";")[0]
    if ivorn.startswith("ivo://"):  # the notice that brought this revision was a VOEvent itself
        cited.append((ivorn, "followup"))
    if event.get("state") == "retracted":
        cited = [(each, "retraction" if how == "supersedes" else how) for each, how in cited]
    return _written(packet, cited)


def match_voevent(alert: Mapping[str, Any], filter_name: str, filter_version: str, told: Told, sender: Sender) -> bytes:
    """Packet of an alert that a filter picked, or of what has changed about it since.

    Parameters
    ----------
    alert
        As on topic ``matched.<filter>``.
    """
    first = f"{filter_name}/{filter_version}/{quote(str(alert['alert_id']), safe=':')}"
    maps = [dict(each) for each in alert.get("skymaps") or ()]
    name = first if told.update is None else f"{first};{told.update}-{_event_id(str(told.event), told.revision)}"
    real = alert.get("alert_tense") not in {"test", "injection", "commanded"}
    packet = vp.Voevent(f"{sender.authority}/matches", name, _REAL if real else "test")
    _who(packet, sender, told.when)
    _params(packet, alert, _ALERT_PARAMS)
    chosen = [vp.Param("filter", value=filter_name), vp.Param("filter_version", value=str(filter_version))]
    packet.What.append(vp.Group(chosen, name="filter"))
    for each in maps:
        params = [_param(key, each[key], "s" if key == "dt" else "", "") for key in _MAP_PARAMS if each.get(key) is not None]
        packet.What.append(vp.Group(params, name=f"skymap_{_clean(each['event'])}"))
    extra = [_param(key, value, "", "") for key, value in (alert.get("annotations") or {}).items() if value is not None]
    if extra:
        packet.What.append(vp.Group(extra, name="annotations"))
    _where(packet, alert)
    cited = [(f"ivo://{sender.authority}/events#{_event_id(each['event'], each.get('revision'))}", "followup") for each in maps]
    if told.update is not None:  # it lies in other maps still: what was told of those stands
        how = "retraction" if told.update == "retracted" and not maps else "supersedes"
        cited.insert(0, (f"ivo://{sender.authority}/matches#{first}", how))
    return _written(packet, cited)


def _event_id(name: str, revision: int | None) -> str:
    return quote(str(name)) if revision is None else f"{quote(str(name))}-{revision}"


def _who(packet: Any, sender: Sender, when: Any) -> None:
    date = when.replace(tzinfo=None) if isinstance(when, datetime) else datetime.now(UTC).replace(tzinfo=None)
    vp.set_who(packet, date=date.replace(microsecond=0), author_ivorn=sender.authority)
    vp.set_author(packet, title=sender.title, shortName="Nuncius")
    packet.Who.Description = "Made by Nuncius, an alert broker"


def _params(packet: Any, row: Mapping[str, Any], wanted: Iterable[tuple[str, str, str]]) -> None:
    for name, unit, ucd in wanted:
        if row.get(name) is not None:
            packet.What.append(_param(name, row[name], unit, ucd))


def _param(name: str, value: Any, unit: str, ucd: str) -> Any:
    kind = (
        "int" if isinstance(value, int) and not isinstance(value, bool) else "float" if isinstance(value, float) else "string"
    )
    text = str(value).lower() if isinstance(value, bool) else repr(value) if isinstance(value, float) else _clean(value)
    return vp.Param(_clean(name), value=text, unit=unit or None, ucd=ucd or None, dataType=kind)


def _where(packet: Any, row: Mapping[str, Any]) -> None:
    """Position and time; a time alone where there is no position, and nothing where there is neither."""
    when, ra, dec = row.get("time"), row.get("ra"), row.get("dec")
    packet.remove(packet.WhereWhen)
    if not isinstance(when, datetime):
        return
    placed = ra is not None and dec is not None
    packet.append(_element("WhereWhen"))
    vp.add_where_when(
        packet,
        vp.Position2D(
            ra if placed else 0.0,
            dec if placed else 0.0,
            row.get("ra_dec_error") or 0.0,
            vp.definitions.units.degrees,
            vp.definitions.sky_coord_system.utc_icrs_geo,
        ),
        obs_time=when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC),
        observatory_location=vp.definitions.observatory_location.geosurface,
    )
    if placed and row.get("ra_dec_error") is None:  # the schema wants a number all the same
        packet.What.append(vp.Param("ra_dec_error", value="unknown", ucd="stat.error;pos.eq", dataType="string"))
    if not placed:
        coords = packet.WhereWhen.ObsDataLocation.ObservationLocation.AstroCoords
        coords.remove(coords.Position2D)


def _written(packet: Any, cited: Iterable[tuple[str, str]]) -> bytes:
    citations = [vp.EventIvorn(ivorn, cite_type=how) for ivorn, how in cited]
    if citations:  # the library's own helper asks for something that newer Pythons have moved
        packet.append(_element("Citations"))
        packet.Citations.extend(citations)
    vp.assert_valid_as_v2_0(packet)
    return bytes(vp.dumps(packet))


def _element(name: str, text: str | None = None) -> Any:
    made = objectify.Element(name) if text is None else objectify.StringElement(_clean(text))
    made.tag = name
    return made


def _clean(value: Any) -> str:
    return _UNWRITABLE.sub("", str(value))
