"""VOEvents: 2.0, and 2.1 and 1.1 read alike.

What does not fit the schema but is well formed and has an ivorn is kept, and said to deviate: whole notice types of GCN have
never been valid, and their data are good.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from lxml import etree

from broker.decode.notice import Notice, Position, Scalar, position
from broker.decode.notice_origin import Origin, names_of, origin_of, request_of, stage_of, stream_of_ivorn
from broker.decode.notice_params import Param, number, read_params, truth
from broker.decode.notice_time import SCALES, from_tjd, parse_time
from broker.decode.notice_xml import children, descend, local_name, parse_xml, text_of
from broker.errors import DecodeError

__all__ = ["parse_voevent"]

_V2 = "http://www.ivoa.net/xml/VOEvent/v2.0"
_RETRACTION_FLAGS = (
    "Retraction",
    "retraction",
    "Trigger_ID.Retraction",
    "Trigger_ID.RetractFlag",
    "Trigger_ID.Def_NOT_a_GRB",
    "Solution_Status.Def_NOT_a_GRB",
)
_STATED = {"earlywarning": "initial", "preliminary": "initial", "initial": "initial", "update": "update"}
_TEST_FLAGS = ("Trigger_ID.Test", "Trigger_ID.InternalTest", "Misc_Flags.Test_Submission", "Solution_Status.Test_Submission")
_YEAR, _HOUR = timedelta(days=366), timedelta(hours=1)
_PER_YEAR = 365.25 * 86_400.0
_RATES = {"hz": 1.0, "s^-1": 1.0, "1/s": 1.0, "yr^-1": _PER_YEAR, "1/yr": _PER_YEAR, "/yr": _PER_YEAR, "day^-1": 86_400.0}
_FITS_URL = re.compile(r"https?://\S+\.fits?(\.gz)?(,\d+)?")
_MAP_PARAMS = ("skymap_fits", "SKYMAP_URL", "SkyMap", "LocationMap_URL", "HealPix_URL", "Loc_url")
_CLASS_PARAMS = ("SRC_CLASS", "asassn_params.spec_class", "classification")


def parse_voevent(data: bytes) -> Notice:
    """Notice of a VOEvent.

    Raises
    ------
    DecodeError
        If it is not well formed, has entities or a document type, is no VOEvent, has no ivorn, or lies off the sphere.
    """
    root = parse_xml(data)
    if local_name(root) != "VOEvent":
        raise DecodeError(f"XML of <{local_name(root)}>, not a VOEvent")
    ivorn = (root.get("ivorn") or "").strip()
    if not ivorn:
        raise DecodeError("no ivorn: a VOEvent is known by it")
    params = read_params(descend(root, "What"))
    origin = origin_of(ivorn, params)
    notes = _form(root)
    time, odd = _time(root, params)
    notes += odd
    pointing, place, odd = _position(root, params, origin)
    notes += odd
    cited = tuple(
        ((element.get("cite") or "followup").strip().lower(), text)
        for element in children(descend(root, "Citations"), "EventIVORN")
        if (text := text_of(element)) and text != ivorn
    )
    cites = dict(cited)
    extra = _fields(root, params, origin, cites)
    if pointing.ra is not None:
        extra |= {"pointing.ra": pointing.ra, "pointing.dec": pointing.dec}
    role = (root.get("role") or "observation").strip().lower()
    names = names_of(origin, ivorn, params, place, time)
    kind = _alert_type(params, origin, cites, role)
    far, odd = _far(params, origin)
    notes += odd
    return Notice(
        native_id=ivorn,
        ivorn=ivorn,
        event_name=names[0] if names else _name(ivorn, origin, role),
        names=names[1:],
        related=request_of(origin, params),
        cites=cited,
        issued=parse_time(text_of(root, "Who", "Date")),
        serial=_serial(params),
        significant=truth(params, "Significant") if "Significant" in params else None,
        stage=_stage(params, origin, kind),
        time=time,
        ra=place.ra,
        dec=place.dec,
        ra_dec_error=place.error,
        containment_probability=place.containment,
        messenger=origin.messenger,
        mission=origin.mission,
        instrument=origin.instrument,
        alert_type=kind,
        alert_tense=_alert_tense(params, origin, role),
        far=far,
        p_astro=_p_astro(params),
        classification=_classification(params),
        skymap_url=_skymap_url(params),
        deviations=tuple(notes),
        fields=extra,
    )


def _name(ivorn: str, origin: Origin, role: str) -> str | None:
    """A VOEvent of strangers that names no event is one of its own, called by its ivorn."""
    return ivorn if not origin.known and role == "observation" and stream_of_ivorn(ivorn) == "voevent" else None


def _serial(params: Mapping[str, Param]) -> int | None:
    text = params["Pkt_Ser_Num"].text if "Pkt_Ser_Num" in params else ""
    return int(text) if text.isdecimal() and len(text) < 10 else None


def _stage(params: Mapping[str, Param], origin: Origin, kind: str | None) -> str | None:
    stated = next((params[name].text for name in ("AlertType", "Event_status") if name in params), "")
    stage = stage_of(stated) or (stage_of(origin.notice_type or "") if origin.messenger == "GW" else None)
    return "retracted" if stage and kind == "retraction" else stage  # a preliminary notice may take the event back


def _form(root: etree._Element) -> list[str]:
    """What the event departs from the schema in."""
    namespace = etree.QName(root).namespace
    if namespace != _V2:
        return [f"namespace {namespace or 'absent'}, version {root.get('version') or 'absent'}: read as VOEvent 2.0"]
    from voeventparse.voevent import voevent_v2_0_schema  # noqa: PLC0415 - astropy comes with it, which is slow to load

    if voevent_v2_0_schema.validate(root):
        return []
    first = voevent_v2_0_schema.error_log[0].message.replace(f"{{{_V2}}}", "")
    return [f"not valid as VOEvent 2.0: {first[:200]}"]


def _coords(root: etree._Element) -> tuple[etree._Element | None, str]:
    """Coordinates of the observation (not of the observatory), and the name of their system in capitals."""
    where = descend(root, "WhereWhen", "ObsDataLocation", "ObservationLocation")
    coords = descend(where, "AstroCoords")
    system = descend(where, "AstroCoordSystem")
    name = "" if coords is None else coords.get("coord_system_id") or ""
    if not name and system is not None:
        name = system.get("id") or text_of(system, "TimeFrame", "TimeScale") or ""
    return coords, name.upper()


def _time(root: etree._Element, params: Mapping[str, Param]) -> tuple[datetime | None, list[str]]:
    """Event time in UTC, else what stands in for it, and that it does."""
    coords, system = _coords(root)
    scale = next((part for part in system.split("-") if part in SCALES), "UTC")
    time = descend(coords, "Time")
    text = text_of(time, "TimeInstant", "ISOTime") or text_of(time, "TimeInterval", "ISOTimeStart")
    if (parsed := parse_time(text, scale)) is not None:
        return parsed, []
    what = f"event time {text!r} cannot be read" if text else "no event time"
    sent = parse_time(text_of(root, "Who", "Date"))
    pairs = ((params[name], params.get(name[:-3] + "SOD")) for name in params if name.endswith("_TJD"))
    for day, seconds in pairs:
        parsed = None if seconds is None else _tjd(day.text, seconds.text)
        # Where the time is garbled the day may be too: it has to lie before the message, and not by more than a year.
        if parsed and (sent is None or -_YEAR < parsed - sent < _HOUR):
            return parsed, [f"{what}: taken from its truncated Julian day"]
    return sent, [f"{what}: time of the message taken" if sent else what]


def _tjd(day: str, seconds: str) -> datetime | None:
    try:
        return from_tjd(int(day), float(seconds))
    except (ValueError, OverflowError):
        return None


def _position(root: etree._Element, params: Mapping[str, Param], origin: Origin) -> tuple[Position, Position, list[str]]:
    """Where the spacecraft looks, if that is what the position is; where the source is; what was odd."""
    coords, system = _coords(root)
    place = descend(coords, "Position2D")
    if place is None:
        return Position(), Position(), []
    unit = (place.get("unit") or "deg").lower()
    if "GEOD" in system or not unit.startswith("deg"):
        return Position(), Position(), [f"position in {system or unit}, not on the sky in degrees: left out"]
    radius = _float(text_of(place, "Error2Radius"))
    if radius is None:
        radius = max((r for axis in ("C1", "C2") if (r := _float(text_of(place, "Error2", axis))) is not None), default=None)
    if not radius:  # 0 stands for unknown; some types state it in a parameter instead
        radius = number(params, "src_error_90", "Src_Error90")
    ra, dec = _float(text_of(place, "Value2", "C1")), _float(text_of(place, "Value2", "C2"))
    found, notes = position(ra, dec, radius, _containment(radius, params, origin))
    if _is_pointing(root, params, origin):
        return found, Position(), notes
    return Position(), found, notes


def _is_pointing(root: etree._Element, params: Mapping[str, Param], origin: Origin) -> bool:
    """Whether the position is where the spacecraft looks.

    ``Coords_String`` says so, else the notice type; the description comes last: Super-Kamiokande's supernovae carry that of
    another type's template.
    """
    if "Coords_String" in params:
        return params["Coords_String"].text == "pointing_direction"
    if origin.coords:
        return origin.coords == "pointing"
    return "pointing_direction" in (text_of(root, "WhereWhen", "Description") or "")


def _containment(radius: float | None, params: Mapping[str, Param], origin: Origin) -> float | None:
    """Containment of the radius: told by the parameter that repeats it, else by the notice type."""
    for name, level in (("src_error_90", 0.9), ("Src_Error90", 0.9), ("src_error_50", 0.5)):
        if radius is not None and number(params, name) == radius:
            return level
    return origin.containment


def _float(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _alert_type(params: Mapping[str, Param], origin: Origin, cites: Mapping[str, str], role: str) -> str | None:
    """From flags and citations of a retraction, what the event says of itself, its notice type, what it cites."""
    stated = next((params[name].text.lower() for name in ("AlertType", "Event_status") if name in params), "")
    if truth(params, *_RETRACTION_FLAGS) or "retraction" in {*cites, stated, origin.alert_type}:
        return "retraction"
    if stated in _STATED:
        return _STATED[stated]
    if origin.known:
        return origin.alert_type
    if "supersedes" in cites or "followup" in cites:
        return "update" if "supersedes" in cites else "subsequent"
    return None if role == "utility" else "initial"


def _alert_tense(params: Mapping[str, Param], origin: Origin, role: str) -> str:
    if role == "test" or origin.test or truth(params, *_TEST_FLAGS):
        return "test"
    if truth(params, "HardwareInj"):
        return "injection"
    return "planned" if role == "prediction" else "current"


def _far(params: Mapping[str, Param], origin: Origin) -> tuple[float | None, list[str]]:
    stated = [params[name] for name in ("FAR", "far") if name in params]
    rate = number(params, "FAR", "far")
    if rate is None or rate <= 0.0:
        odd = rate is None and any(param.text for param in stated)
        return None, ["FAR is not a finite number: left out of far"] if odd else []
    unit = stated[0].unit.lower() or ("hz" if origin.messenger == "GW" else "")
    if unit not in _RATES:
        return None, [f"false alarm rate in {unit or 'no unit'}: left out of far"]
    return rate / _RATES[unit], []


def _p_astro(params: Mapping[str, Param]) -> float | None:
    terrestrial = number(params, "Classification.Terrestrial")
    value = number(params, "signalness", "Signalness") if terrestrial is None else 1.0 - terrestrial
    return value if value is not None and 0.0 <= value <= 1.0 else None


def _classification(params: Mapping[str, Param]) -> str | None:
    classes = {name: p for name in params if name.startswith("Classification.") and (p := number(params, name)) is not None}
    if classes:
        return max(classes, key=classes.__getitem__).partition(".")[2]
    return next((params[name].text for name in _CLASS_PARAMS if name in params and params[name].text), None)


def _skymap_url(params: Mapping[str, Param]) -> str | None:
    for wanted in _MAP_PARAMS:
        for name, param in params.items():
            if name.rpartition(".")[2] == wanted and _FITS_URL.fullmatch(param.text):
                return param.text
    return None


def _fields(root: etree._Element, params: Mapping[str, Param], origin: Origin, cites: Mapping[str, str]) -> dict[str, Scalar]:
    """Parameters, the event's own words, and for LVK events the names its JSON notices use."""
    found: dict[str, Scalar] = {name: param.value(name) for name, param in params.items()}
    found |= {
        "ivorn": root.get("ivorn"),
        "role": root.get("role"),
        "notice_type": origin.notice_type,
        "cites": ",".join(cites.values()) or None,
    }
    why = descend(root, "Why")
    found["importance"] = None if why is None else _float(why.get("importance"))
    if origin.messenger == "GW":
        for name, param in params.items():
            group, _, leaf = name.rpartition(".")
            if group in {"Classification", "Properties"}:
                found[f"{group.lower()}.{leaf}"] = number(params, name)
            elif leaf in {"ProbHasNS", "ProbHasRemnant"}:
                found[f"properties.{leaf.removeprefix('Prob')}"] = number(params, name)
            elif leaf in {"Group", "Pipeline", "Search", "Instruments"}:
                found[leaf.lower()] = param.text or None
        if "Significant" in params:
            found["significant"] = truth(params, "Significant")
    return found
