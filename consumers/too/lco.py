"""Requests as the observation portal of Las Cumbres Observatory takes them, and the observatories that use the same portal."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from consumers.too.request import Request, clean, stamp

__all__ = ["requestgroup"]

_DAY = timedelta(hours=24)


def requestgroup(request: Request) -> dict[str, Any]:
    """A ``requestgroup`` of one request with one configuration, an instrument configuration for each band.

    Notes
    -----
    Fields as in ``observation_portal/requestgroups/serializers.py`` and ``models.py`` of the Observatory Control System. A
    rapid response must not begin in the future and must end within a day: its window opens at once.
    """
    table = request.rule.table
    start, end = request.start, request.end
    if table["observation_type"] == "RAPID_RESPONSE":
        start, end = request.made, min(end, request.made + _DAY)
    location = {"telescope_class": table["telescope_class"]}
    if table["site"]:
        location["site"] = table["site"]
    return {
        "name": request.name,
        "proposal": table["proposal"],
        "ipp_value": table["ipp_value"],
        "operator": "SINGLE",
        "observation_type": table["observation_type"],
        "requests": [
            {
                "observation_note": clean(f"Nuncius {request.rule.name} {request.alert.alert_id}", 255),
                "optimization_type": "TIME",
                "acceptability_threshold": table["acceptability_threshold"],
                "configuration_repeats": 1,
                "location": location,
                "windows": [{"start": stamp(start), "end": stamp(end)}],
                "configurations": [_configuration(request)],
            }
        ],
    }


def _configuration(request: Request) -> dict[str, Any]:
    table, limits = request.rule.table, request.rule.limits
    constraints = {"max_airmass": round(request.max_airmass, 4), "min_lunar_distance": limits.min_moon_separation or 0.0}
    if limits.max_moon_illumination is not None:
        constraints["max_lunar_phase"] = limits.max_moon_illumination
    mode = {"mode": table["readout_mode"]} if table["readout_mode"] else {}
    return {
        "type": table["type"],
        "instrument_type": table["instrument_type"],
        "constraints": constraints,
        "target": {
            "type": "ICRS",
            "name": clean(request.target, 50) or "target",
            "ra": request.ra,
            "dec": request.dec,
            "epoch": 2000.0,
            "proper_motion_ra": 0.0,
            "proper_motion_dec": 0.0,
            "parallax": 0.0,
        },
        "acquisition_config": {"mode": table["acquisition_mode"]},
        "guiding_config": {"mode": table["guiding_mode"], "optional": table["guiding_optional"]},
        "instrument_configs": [
            {
                "exposure_time": one.seconds,
                "exposure_count": one.count,
                "optical_elements": {table["optical_element"]: one.band},
                "extra_params": dict(table["extra_params"]),
                **mode,
            }
            for one in request.rule.exposures
        ],
        **({"repeat_duration": request.rule.seconds} if table["type"].startswith("REPEAT_") else {}),
    }
