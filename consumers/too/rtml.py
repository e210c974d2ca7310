"""Requests in RTML 3.1a (Remote Telescope Markup Language; Hessman 2006), as the Liverpool Telescope and others read it."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any, Final
from xml.etree import ElementTree as ET

from consumers.too.request import Request, clean, stamp

__all__ = ["FILTERS", "abort_document", "request_document"]

NAMESPACE: Final = "http://www.rtml.org/v3.1a"
_STANDARD: Final = "none clear neutral_density blue green red U B V R I H J K L M N narrowband Halpha Hbeta other"
_SYSTEMS: Final = {
    "Johnson": "UBVRIJHKLMN",
    "Bessel": "UBVRI",
    "Cousins": "RI",
    "Sloan": "ugriz",
    "Gunn": "griz",
    "Stroemgren": ("u", "b", "v", "beta", "y"),
    "forbidden": ("OI", "OII", "OIII", "NII", "SII"),
}
FILTERS: Final = frozenset([*_STANDARD.split(), *(f"{system}_{band}" for system, bands in _SYSTEMS.items() for band in bands)])
"""The standard's names of filters; another band goes by its name, as ``type="other"``."""


def request_document(request: Request) -> str:
    """A document of mode ``request``: one `Schedule` for each band, all of one target and one window.

    Notes
    -----
    Elements and their order are those of the schema of 3.1a. Airmass, Moon and window are constraints of every schedule;
    the priority is 0 (a target of opportunity) to 4 from the rule's 5 to 1. The `uid` ends in the request's name.
    """
    root = _document("request", request.name, request.made, f"Rule {request.rule.name}, alert {request.alert.alert_id}")
    _project(root, request.rule.table)
    for one in request.rule.exposures:
        schedule = _add(root, "Schedule")
        _device(schedule, request.rule.table, one.band)
        _add(_add(schedule, "Exposure", count=one.count), "Value", f"{one.seconds:g}", units="seconds")
        _target(schedule, request)
        _add(schedule, "AirmassConstraint", maximum=f"{request.max_airmass:.4f}")
        _moon(schedule, request)
        window = _add(schedule, "DateTimeConstraint", type="include")
        _add(window, "DateTimeStart", value=stamp(request.start), system="UT")
        _add(window, "DateTimeEnd", value=stamp(request.end), system="UT")
        _add(schedule, "Priority", str(5 - request.rule.priority))
    return _text(root)


def abort_document(name: str, table: Any, time: datetime, reason: str) -> str:
    """A document of mode ``abort`` for a request, by its name."""
    root = _document("abort", name, time, reason)
    _project(root, table)
    return _text(root)


def _document(mode: str, name: str, time: datetime, said: str) -> ET.Element:
    root = ET.Element("RTML", {"xmlns": NAMESPACE, "version": "3.1a", "mode": mode, "uid": f"rtml://nuncius/{name}"})
    entry = _add(_add(root, "History"), "Entry", timeStamp=stamp(time))
    _add(entry, "Agent", name="nuncius")
    _add(entry, "Description", _printable(said))
    return root


def _project(root: ET.Element, table: Any) -> None:
    contact = _add(_add(root, "Project", ProjectID=table["project"]), "Contact")
    _add(contact, "Username", table["username"])
    _add(contact, "Name", table["username"])


def _device(schedule: ET.Element, table: Any, band: str) -> None:
    device = _add(schedule, "Device", name=table["device"], type=table["device_type"])
    _add(device, "SpectralRegion", table["spectral_region"])
    setup = _add(device, "Setup")
    _add(setup, "Filter", name=band, type=band if band in FILTERS else "other")
    if table["binning"] is not None:
        binning = _add(_add(setup, "Detector"), "Binning")
        _add(binning, "X", str(table["binning"]), units="pixels")
        _add(binning, "Y", str(table["binning"]), units="pixels")


def _target(schedule: ET.Element, request: Request) -> None:
    assert request.ra is not None
    assert request.dec is not None
    target = _add(schedule, "Target", name=clean(request.target, 100) or "target")
    coordinates = _add(target, "Coordinates")
    hours, minutes, seconds = _sixty((request.ra % 360.0) / 15.0, 3, 24)
    right = _add(coordinates, "RightAscension")
    _add(right, "Hours", str(hours))
    _add(right, "Minutes", str(minutes))
    _add(right, "Seconds", f"{seconds:.3f}")
    degrees, minutes, seconds = _sixty(abs(request.dec), 2, None)
    declination = _add(coordinates, "Declination")
    _add(declination, "Degrees", f"{'-' if math.copysign(1.0, request.dec) < 0 else '+'}{degrees}")
    _add(declination, "Arcminutes", str(minutes))
    _add(declination, "Arcseconds", f"{seconds:.2f}")
    _add(coordinates, "Equinox", "2000.0")
    _add(coordinates, "System", "ICRS")


def _moon(schedule: ET.Element, request: Request) -> None:
    limits = request.rule.limits
    if limits.min_moon_separation is None and limits.max_moon_illumination is None:
        return
    moon = _add(schedule, "MoonConstraint")
    if limits.min_moon_separation is not None:
        _add(moon, "Distance", f"{limits.min_moon_separation:g}", units="degrees")
    if limits.max_moon_illumination is not None:
        _add(moon, "MaximumPhase", f"{limits.max_moon_illumination:g}")


def _sixty(value: float, places: int, turn: int | None) -> tuple[int, int, float]:
    """Whole units, minutes and seconds; rounded first, so that no 60.000 comes out."""
    scale = 10**places
    units = round(value * 3600 * scale)
    whole, rest = divmod(units, 3600 * scale)
    minutes, seconds = divmod(rest, 60 * scale)
    return (whole % turn if turn else whole), minutes, seconds / scale


def _add(parent: ET.Element, tag: str, text: str | None = None, /, **attributes: Any) -> ET.Element:
    child = ET.SubElement(parent, tag, {key: str(value) for key, value in attributes.items()})
    child.text = text
    return child


def _printable(text: str) -> str:
    """Without the control characters that XML cannot hold."""
    return "".join(letter for letter in text if letter.isprintable())


def _text(root: ET.Element) -> str:
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"
