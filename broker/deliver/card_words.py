"""The lines of a card: values as observers write them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeGuard
from urllib.parse import quote

__all__ = ["Place", "Row", "brightness", "is_test", "link_rows", "mjd", "name_of", "position", "rows_of", "sexagesimal"]

_CATALOGS: Final = 3  # nearest sources that are told
_EVENTS: Final = 5
_OTHERS: Final = 12  # further values that a filter selects
_YEAR: Final = 365.25 * 86_400.0


class Row(NamedTuple):
    """A line of a card."""

    label: str
    value: str


class Place(NamedTuple):
    """Where something is: degrees, ICRS."""

    ra: float
    dec: float
    sexagesimal: str
    constellation: str


def name_of(alert: Mapping[str, Any]) -> str:
    """What the thing is called."""
    return str(alert.get("object_id") or alert.get("event_name") or alert["alert_id"])


def is_test(alert: Mapping[str, Any]) -> bool:
    """Whether it stands for nothing on the sky."""
    return alert.get("alert_tense") in {"test", "injection", "commanded"}


def rows_of(data: Mapping[str, Any]) -> list[Row]:
    """Everything a card says of a match, most important first: some services show the beginning only."""
    return [*_what(data), *_where(data["alert"]), *_measured(data), *_why(data), *_others(data["alert"])]


def _what(data: Mapping[str, Any]) -> Iterator[Row]:
    alert, event = data["alert"], data.get("update_event")
    if is_test(alert):
        yield Row("Test", f"this is no observation ({alert['alert_tense']})")
    if data.get("update") == "retracted":
        yield Row("Retracted", f"{event} was taken back, or its map no longer holds this" if event else "no longer a match")
    elif data.get("update") == "rescored":
        yield Row("Re-scored", f"after a new map of {event}" if event else "after a new map")
    also = alert.get("event_name")
    yield Row("Object", name_of(alert) + (f" ({also})" if also and also != name_of(alert) else "") + f", {alert.get('stream')}")
    source = " ".join(str(alert[key]) for key in ("mission", "instrument", "alert_type") if alert.get(key))
    if source:
        yield Row("From", source)
    if alert.get("classification"):
        chance = alert.get("p_astro")
        yield Row("Class", str(alert["classification"]) + (f", p_astro {chance:.3g}" if _is_number(chance) else ""))


def _where(alert: Mapping[str, Any]) -> Iterator[Row]:
    place = position(alert)
    if place is None:
        return
    error = alert.get("ra_dec_error")
    radius = f" ± {_angle(error)}" if _is_number(error) and error > 0 else ""
    yield Row("Where", f"{place.sexagesimal}{radius} in {place.constellation}")
    yield Row("Degrees", f"{place.ra:.6f} {place.dec:+.6f} (ICRS)")


def _measured(data: Mapping[str, Any]) -> Iterator[Row]:
    alert, found = data["alert"], data["alert"].get("annotations") or {}
    if told := brightness(alert):
        yield Row("Brightness", told)
    when, matched = _time(alert.get("time")), _time(data.get("time"))
    if when is not None:
        ago = f", {_span((matched - when).total_seconds())} before the match" if matched is not None and matched >= when else ""
        yield Row("Time", f"{when:%Y-%m-%d %H:%M:%S} UTC (MJD {mjd(when):.5f}){ago}")
    if _is_number(age := found.get("lightcurve.age")):
        count = found.get("lightcurve.n_det")
        yield Row("Age", f"{_span(age * 86_400.0)} since first seen" + (f", {count:g} detections" if _is_number(count) else ""))
    if _is_number(rate := found.get("lightcurve.rate")):
        yield Row("Change", f"{abs(rate):.2g} mag a day {'brighter' if rate < 0 else 'fainter'}")
    if _is_number(alert.get("reliability")):
        yield Row("Reliability", f"{alert['reliability']:.2f}")
    if _is_number(far := alert.get("far")) and far > 0:
        yield Row("False alarms", f"one in {_span(1.0 / far)} ({far:.2g} Hz)")


def _why(data: Mapping[str, Any]) -> Iterator[Row]:
    alert, found = data["alert"], data["alert"].get("annotations") or {}
    yield Row("Filter", f"{data['filter']}, version {data['version']}")
    maps = [each for each in alert.get("skymaps") or () if each.get("event")]
    for each in sorted(maps, key=lambda one: one["credible_level"] if _is_number(one.get("credible_level")) else 2.0)[:_EVENTS]:
        level, dt = each.get("credible_level"), each.get("dt")
        told = [
            f"inside its {math.ceil(level * 1000.0 - 1e-9) / 10.0:g}% region" if _is_number(level) else "no longer in its map"
        ]
        if _is_number(dt):
            told.append(f"{_span(abs(dt))} {'after' if dt >= 0 else 'before'} it")
        yield Row("Event", f"{each['event']}: {', '.join(told)}")
    for name in _sorted_prefixes(found, "sep", lambda name: name.startswith("watchlist.")):
        target = found.get(f"{name}.id")
        yield Row(
            "Watchlist", f"{name.removeprefix('watchlist.')}: {target or 'a target'} at {_angle(found[f'{name}.sep'] / 3600.0)}"
        )
    for name in _sorted_prefixes(found, "sep", lambda name: not name.startswith("watchlist."))[:_CATALOGS]:
        what = str(found.get(f"{name}.name") or found.get(f"{name}.id") or "a source")
        more = [f"z = {found[f'{name}.z']:.4g}"] if _is_number(found.get(f"{name}.z")) else []
        more += [f"{found[f'{name}.dist']:.3g} Mpc"] if _is_number(found.get(f"{name}.dist")) else []
        yield Row("Near", ", ".join([f"{what} ({name}) at {_angle(found[f'{name}.sep'] / 3600.0)}", *more]))


def _others(alert: Mapping[str, Any]) -> Iterator[Row]:
    """What else the filter selects: its author wanted it to be seen."""
    found = alert.get("annotations") or {}
    told = {"lightcurve.age", "lightcurve.n_det", "lightcurve.rate"}
    for name in found:
        if name.endswith(".sep"):
            told |= {f"{name[:-4]}.{part}" for part in ("sep", "id", "name", "z", "dist", "inside")}
    left = [(name, value) for name, value in found.items() if name not in told and value is not None]
    for name, value in left[:_OTHERS]:
        yield Row(name, f"{value:.6g}" if isinstance(value, float) else str(value)[:200])


def _sorted_prefixes(found: Mapping[str, Any], part: str, wanted: Any) -> list[str]:
    """Names in front of ``.sep``, nearest first."""
    names = [key[: -len(part) - 1] for key, value in found.items() if key.endswith(f".{part}") and _is_number(value)]
    return sorted(filter(wanted, names), key=lambda name: float(found[f"{name}.{part}"]))


def brightness(alert: Mapping[str, Any], *, brief: bool = False) -> str:
    """``r = 17.94 ± 0.05``; empty where there is no magnitude."""
    mag, error, band = alert.get("mag"), alert.get("mag_err"), alert.get("band")
    if not _is_number(mag):
        return ""
    text = f"{band or 'mag'} = {mag:.2f}"
    if brief:
        return text
    text += f" ± {error:.2f}" if _is_number(error) else ""
    return text + (" fainter than the reference" if alert.get("positive") is False else "")


def link_rows(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Addresses to follow; paths of an API whose address nobody has set lead nowhere, and are left out."""
    for name, url in (data.get("links") or {}).items():
        if isinstance(url, str) and url.startswith(("https://", "http://")):
            yield name.replace("_", " "), url
    place = position(data["alert"])
    error = data["alert"].get("ra_dec_error")
    if place is not None and not (_is_number(error) and error > 0.1):  # what is wider fits into no picture
        where = quote(f"{place.ra:.6f} {place.dec:+.6f}")
        yield "SIMBAD", f"https://simbad.cds.unistra.fr/simbad/sim-coo?Coord={where}&Radius=30&Radius.unit=arcsec"
        yield (
            "Legacy Survey",
            f"https://www.legacysurvey.org/viewer?ra={place.ra:.6f}&dec={place.dec:.6f}&zoom=15&mark={place.ra:.6f},{place.dec:.6f}",
        )


def position(alert: Mapping[str, Any]) -> Place | None:
    """Where it is, where it is anywhere."""
    ra, dec = alert.get("ra"), alert.get("dec")
    if not _is_number(ra) or not _is_number(dec) or not -90.0 <= dec <= 90.0:
        return None
    return Place(ra % 360.0, dec, sexagesimal(ra, dec), _constellation(ra % 360.0, dec))


def sexagesimal(ra: float, dec: float) -> str:
    """``12:30:49.42 +12:23:28.0`` of degrees: to 0.15 and 0.1 arcseconds, rounded so that no 60 is written."""
    tenths = round((ra % 360.0) / 15.0 * 360_000.0) % 8_640_000
    hours, rest = divmod(tenths, 360_000)
    minutes, hundredths = divmod(rest, 6_000)
    size = round(abs(dec) * 36_000.0)
    degrees, left = divmod(size, 36_000)
    arcmin, tenth = divmod(left, 600)
    sign = "-" if dec < 0 and size else "+"
    return f"{hours:02d}:{minutes:02d}:{hundredths / 100:05.2f} {sign}{degrees:02d}:{arcmin:02d}:{tenth / 10:04.1f}"


@lru_cache(maxsize=4096)
def _constellation(ra: float, dec: float) -> str:
    """Name of the constellation (Roman 1987, PASP 99, 695, in astropy)."""
    from astropy import units  # noqa: PLC0415 - takes a second to load
    from astropy.coordinates import SkyCoord, get_constellation  # noqa: PLC0415

    return str(get_constellation(SkyCoord(ra * units.deg, dec * units.deg)))


def mjd(when: Any) -> float | None:
    """Modified Julian date, UTC."""
    time = _time(when)
    return None if time is None else time.timestamp() / 86_400.0 + 40_587.0


def _time(value: Any) -> datetime | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _span(seconds: float) -> str:
    """A length of time in the unit that suits it."""
    for size, unit in ((_YEAR, "years"), (86_400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.3g} {unit}" if seconds / size < 1e4 else f"{seconds / size:.2g} {unit}"
    return f"{seconds:.3g} s"


def _angle(degrees: float) -> str:
    if degrees >= 1.0:
        return f"{degrees:.3g}°"
    return f"{degrees * 60.0:.3g}'" if degrees >= 1.0 / 60.0 else f'{degrees * 3600.0:.3g}"'
