"""GCN Classic's text notices: lines of ``KEY: value``, continued by lines that begin with a blank."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from broker.decode.notice import DEFAULT_CONTAINMENT, Notice, Position, Scalar, name_event, position
from broker.decode.notice_json import as_number
from broker.decode.notice_names import at_place, burst_of_day, burst_of_urls
from broker.decode.notice_origin import stage_of
from broker.decode.notice_time import from_tjd, parse_time
from broker.decode.notice_types import notice_types
from broker.errors import DecodeError

__all__ = ["parse_text", "read_lines"]

_LINE = re.compile(r"^([A-Z][A-Z0-9_/ \-]*?):\s*(.*)$")
_J2000 = re.compile(r"([+-]?\d+(?:\.\d*)?)\s*d?\s*(?:\{[^}]*\}|[+-]?\d+[hd][^(,]*)?\s*\(J2000\)")
_FIRST = re.compile(r"\s*([+-]?\d+(?:\.\d*)?)\s*d?\b")
_RADIUS = re.compile(r"([\d.]+)\s*\[\s*(deg|arcmin|arcsec)[^\]]*\]")
_PERCENT = re.compile(r"(\d{2}(?:\.\d+)?)\s*%?\s*containment")
_UNITS = {"deg": 1.0, "arcmin": 60.0, "arcsec": 3600.0}
_TJD = re.compile(r"(\d+)\s*TJD")
_YMD = re.compile(r"\b(\d{2})/(\d{2})/(\d{2})\b")
_SOD = re.compile(r"([\d.]+)\s*SOD")
_CLOCK = re.compile(r"\b(\d{1,2}):(\d{2}):(\d{2}(?:\.\d+)?)")
_RATE = re.compile(r"([\d.eE+-]+)\s*\[\s*(Hz|yr\^-1|1/yr|/yr)\s*\]")
_NOTICE_DATE = re.compile(r"(\d{1,2}) ([A-Z][a-z]{2}) (\d{2,4}) (\d{1,2}:\d{2}:\d{2})")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_SOURCES = ("GRB", "SRC", "EVENT", "TRANS", "BURST", "CNTRPART", "TARGET", "SLEW", "OBJECT")
_POINTINGS = ("POINT", "CURR_POINT", "NEXT_POINT", "SC", "FUTURE")
_DATES = ("TRIGGER", "GRB", "DISCOVERY", "EVENT", "TRANS", "BURST", "SRC", "SLEW", "OBS", "IMG_START", "POINT", "CURR", "NEXT")
_IDENTIFIERS = (
    "EVENT_NAME",
    "TRIGGER_NUM",
    "TRIG_ID",
    "REF_NUM",
    "EVENT_TRIG_NUM",
    "TRANSIENT_NUM",
    "EVENT_ID_NUM",
    "TRIGGER_ID",
)
_MISSIONS = {"FERMI": "Fermi", "SWIFT": "Swift", "KONUS": "Konus-Wind", "LVC": "LVK", "LIGO": "LVK", "SK": "Super-Kamiokande"}
# Types whose number several sources share: see `trigger_id` in schemas/gcn/notice_types.csv.
_SHARED = re.compile(r"Swift.*(?:sub-?\s*sub|known.so?u?rce)|counterpart|cntrpart", re.IGNORECASE)
_NEUTRINO = frozenset({"IceCube", "AMON", "Super-Kamiokande", "SNEWS"})
_LONGEST = 200  # characters of a value that is looked into: J2000 comes first
_PER_YEAR = 365.25 * 86_400.0


def read_lines(data: bytes) -> dict[str, str]:
    """Values by key; a repeated key's values are joined by line breaks."""
    found: dict[str, str] = {}
    key = ""
    for line in data.decode("utf-8", "replace").lstrip("\ufeff").splitlines():
        match = _LINE.match(line)
        if match:
            key = match[1].strip().replace(" ", "_")
            found[key] = f"{found[key]}\n{match[2].strip()}" if key in found else match[2].strip()
        elif key and line[:1].isspace() and line.strip():
            found[key] += " " + line.strip()
    return found


def parse_text(data: bytes) -> Notice:
    """Notice of a text.

    Raises
    ------
    DecodeError
        If it has no notice type, or lies off the sphere.
    """
    whole = read_lines(data)
    lines = {key: text[:_LONGEST] for key, text in whole.items()}  # the patterns below are not linear in digits
    kind = lines.get("NOTICE_TYPE", "").strip()
    if not kind:
        raise DecodeError("no NOTICE_TYPE: not a GCN notice")
    mission, instrument = _source(lines, kind)
    sent = _sent(lines.get("NOTICE_DATE", ""))
    time, notes = _time(lines, sent)
    pointing, place, odd = _position(lines, _usual_containment(mission, instrument))
    notes += odd
    identifier = _identifier(lines)
    event = at_place(mission, identifier or "", place) if _SHARED.search(kind) else name_event(mission, identifier)
    bursts = (burst_of_day(identifier or "", time), burst_of_urls(lines.values())) if event and mission == "Fermi" else ()
    far = _RATE.search(lines.get("FAR", ""))
    fields = _fields(whole, kind)
    if pointing.ra is not None:
        fields |= {"pointing.ra": pointing.ra, "pointing.dec": pointing.dec}
    slug = re.sub(r"\W+", "_", kind).strip("_")
    stamp = sent or time
    when = stamp.strftime("%Y-%m-%dT%H:%M:%S") if stamp else "undated"
    signalness = as_number((lines.get("SIGNALNESS", "").split() or [""])[0])
    return Notice(
        native_id=f"{slug}:{(identifier or 'none').replace(' ', '_')}:{when}",
        event_name=None if "pointing" in kind.lower() else event,
        names=tuple(dict.fromkeys(filter(None, bursts))),
        issued=sent,
        serial=_revision(lines),
        stage=stage_of(kind) if mission == "LVK" else None,
        time=time,
        ra=place.ra,
        dec=place.dec,
        ra_dec_error=place.error,
        containment_probability=place.containment,
        messenger="GW" if mission == "LVK" else "Neutrino" if mission in _NEUTRINO else "EM",
        mission=mission,
        instrument=instrument,
        alert_type=_alert_type(lines, kind),
        alert_tense=_tense(lines, kind, identifier),
        far=float(far[1]) / (1.0 if far[2] == "Hz" else _PER_YEAR) if far and as_number(far[1]) else None,
        p_astro=signalness if signalness is not None and 0.0 <= signalness <= 1.0 else None,
        skymap_url=_map_url(lines),
        deviations=tuple(notes),
        fields=fields,
    )


def _source(lines: Mapping[str, str], kind: str) -> tuple[str | None, str | None]:
    """Mission of ``TITLE: GCN/FERMI NOTICE``, instrument of ``NOTICE_TYPE: Fermi-GBM ...``."""
    title = re.search(r"GCN/([\w\-]+)", lines.get("TITLE", ""))
    word = title[1].upper() if title else ""
    if "icecube" in kind.lower():
        return "IceCube", None
    if "hawc" in kind.lower():
        return "HAWC", None
    mission = _MISSIONS.get(word.partition("_")[0].partition("-")[0], word or None)
    pair = re.match(r"(\w+)[-\s]+(BAT|XRT|UVOT|GBM|LAT|SPI-?ACS|IBIS|GSC|MCAL|GRID|WXT|ECLAIRs|GRM|VT|MXT)\b", kind)
    return mission, pair[2] if pair else None


def _identifier(lines: Mapping[str, str]) -> str | None:
    if "RUN_NUM" in lines and "EVENT_NUM" in lines:
        run, number = (lines[name].split()[0] if lines[name] else "" for name in ("RUN_NUM", "EVENT_NUM"))
        if "EVENT_NAME" not in lines and name_event(None, number):
            return f"{run}_{number}"
    texts = (re.split(r"[,\s]", lines[name].strip())[0] for name in (*_IDENTIFIERS, "EVENT_NUM") if lines.get(name))
    return next((text for text in texts if text), None)


def _usual_containment(mission: str | None, instrument: str | None) -> float | None:
    """What an instrument's error radii hold where the text says no more than "statistical only", if all its types agree."""
    alike = [each for each in notice_types().values() if (each.mission, each.instrument) == (mission, instrument)]
    held = {each.containment for each in alike if each.containment is not None}
    return held.pop() if len(held) == 1 else None


def _position(lines: Mapping[str, str], usual: float | None) -> tuple[Position, Position, list[str]]:
    """Where the spacecraft looks, where the source is, and what was odd.

    Parameters
    ----------
    usual
        Containment of a radius that says none.
    """
    for prefix in (*_SOURCES, *_POINTINGS):
        ra, dec = _degrees(lines.get(f"{prefix}_RA", "")), _degrees(lines.get(f"{prefix}_DEC", ""))
        if ra is None or dec is None:
            continue
        text = lines.get(f"{prefix}_ERROR", "") or lines.get(f"{prefix}_ERROR90", "")
        radius = _RADIUS.search(text)
        percent = _PERCENT.search(text)
        found, notes = position(
            ra,
            dec,
            float(radius[1]) / _UNITS[radius[2]] if radius and as_number(radius[1]) else None,
            float(percent[1]) / 100.0 if percent else usual if lines.get(f"{prefix}_ERROR") else DEFAULT_CONTAINMENT,
        )
        return (found, Position(), notes) if prefix in _POINTINGS else (Position(), found, notes)
    return Position(), Position(), []


def _degrees(text: str) -> float | None:
    """Degrees of the J2000 value; the only one if it has no equinox."""
    found = _J2000.search(text) or (_FIRST.match(text) if "(" not in text else None)
    return float(found[1]) if found else None


def _time(lines: Mapping[str, str], sent: datetime | None) -> tuple[datetime | None, list[str]]:
    for prefix in _DATES:
        date, clock = lines.get(f"{prefix}_DATE"), lines.get(f"{prefix}_TIME")
        if date and clock and (time := _moment(date, clock)) is not None:
            return time, []
    return sent, ["no event time: time of the message taken" if sent else "no time"]


def _moment(date: str, clock: str) -> datetime | None:
    """UTC of a date (TJD or yy/mm/dd) and a time of day, whose clock has more digits than its seconds of day."""
    hms, sod, tjd, ymd = _CLOCK.search(clock), _SOD.search(clock), _TJD.search(date), _YMD.search(date)
    if hms:
        seconds = int(hms[1]) * 3600.0 + int(hms[2]) * 60.0 + float(hms[3])
    elif sod and as_number(sod[1]) is not None:
        seconds = float(sod[1])
    else:
        return None
    if tjd:
        return from_tjd(int(tjd[1]), seconds)
    day = parse_time(f"20{ymd[1]}-{ymd[2]}-{ymd[3]}") if ymd else None
    return None if day is None else from_tjd(round(day.timestamp() / 86_400) + 587, seconds)


def _sent(text: str) -> datetime | None:
    """UTC of ``Tue 18 Apr 23 05:29:21 UT``."""
    found = _NOTICE_DATE.search(text)
    if found is None or found[2] not in _MONTHS:
        return None
    year = found[3] if len(found[3]) == 4 else f"20{found[3]}"
    return parse_time(f"{year}-{_MONTHS.index(found[2]) + 1:02d}-{found[1]} {found[4]}")


def _alert_type(lines: Mapping[str, str], kind: str) -> str | None:
    words = kind.lower()
    if "retraction" in words or "this is a retraction" in lines.get("COMMENTS", "").lower():
        return "retraction"
    if "pointing" in words or "to observe" in words:
        return None
    if any(
        word in words for word in ("update", "flight", "ground", "final", "refined", "offline", "xrt position", "uvot position")
    ):
        return "update"
    if any(word in words for word in ("lightcurve", "image", "spectrum", "slew", "srclist", "nack")):
        return "subsequent"
    return "update" if (_revision(lines) or 0) > 0 else "initial"


def _revision(lines: Mapping[str, str]) -> int | None:
    found = re.match(r"\d{1,9}", lines.get("REVISION", ""))
    return int(found[0]) if found else None


def _tense(lines: Mapping[str, str], kind: str, identifier: str | None) -> str:
    if (
        re.search(r"\btest\b", kind, re.IGNORECASE)
        or (identifier or "").lstrip("0") == "99999"
        or re.match(r"[MT]S\d{6}", identifier or "")
    ):
        return "test"
    if re.search(r"this is a test", lines.get("COMMENTS", ""), re.IGNORECASE):
        return "test"
    return "injection" if "injected" in kind.lower() else "current"


def _map_url(lines: Mapping[str, str]) -> str | None:
    text = lines.get("SKYMAP_FITS_URL") or lines.get("SKYMAP_URL") or lines.get("POS_MAP_URL") or ""
    found = re.search(r"https?://\S+\.fits?(?:\.gz)?(?:,\d+)?(?!\S)", text)
    return found[0] if found else None


def _fields(lines: Mapping[str, str], kind: str) -> dict[str, Scalar]:
    """Values as written, and as numbers where the value begins with one and its unit follows in brackets."""
    found: dict[str, Scalar] = {}
    for key, text in lines.items():
        number = re.match(r"([+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)\s*\[", text[:_LONGEST])
        found[key] = float(number[1]) if number else text or None
    return found | {"notice_type": kind}
