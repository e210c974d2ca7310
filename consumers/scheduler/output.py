"""A plan as JSON, CSV, and a queue of SkyPortal's."""

from __future__ import annotations

import csv
import io
from typing import Any, Final

import numpy as np
from astropy.time import Time, TimeDelta

from consumers import night
from consumers.night import stamp
from consumers.scheduler.plan import Outcome
from consumers.scheduler.request import Place, Request

__all__ = ["SCHEMA", "document", "queue", "rows", "table"]

SCHEMA: Final = "nuncius.schedule/1"
_COLUMNS: Final = (
    "number", "start", "end", "field_id", "ra", "dec", "filter", "exposure", "visit", "altitude", "airmass", "moon_separation",
    "probability",
)  # fmt: skip


def document(event: dict[str, Any], outcome: Outcome, request: Request, created: Time) -> dict[str, Any]:
    """The plan as one JSON object, of schema `SCHEMA`; docs/follow-up.md says what it holds."""
    exposures = rows(outcome, request)
    places: dict[str | int, Place] = {}
    for one in outcome.visits:
        places.setdefault(one.place.name, one.place)
    tiles = []
    for number, (name, place) in enumerate(places.items(), 1):
        ra, dec = request.fov.outline(place.ra, place.dec)
        tile = {
            "number": number,
            "field_id": name,
            "ra": place.ra,
            "dec": place.dec,
            "probability": outcome.each[name],
            "vertices": [[round(float(x), 6), round(float(y), 6)] for x, y in zip(ra, dec, strict=True)],
            "observations": [
                {key: value for key, value in row.items() if key not in {"field_id", "ra", "dec", "probability"}}
                for row in exposures
                if row["field_id"] == name
            ],
        }
        if request.galaxies:
            tile["galaxy_probability"] = place.probability
        tiles.append(tile)
    site, window = request.site, outcome.window
    return {
        "schema": SCHEMA,
        "created": stamp(created),
        "event": event,
        "site": {"name": site.name, "longitude": site.longitude, "latitude": site.latitude, "height": site.height},
        "window": None if window is None else {"start": stamp(window[0]), "end": stamp(window[1])},
        "field": {"width": request.fov.width, "height": request.fov.height, "circle": request.fov.circle},
        "limits": {name: getattr(request.limits, name) for name in request.limits.__dataclass_fields__},
        "timing": {name: _plain(getattr(request.timing, name)) for name in request.timing.__dataclass_fields__},
        "healpix_order": outcome.order,
        "probability": dict(outcome.probability),
        "reason": outcome.reason or None,
        "notes": list(outcome.notes),
        "tiles": tiles,
    }


def rows(outcome: Outcome, request: Request) -> list[dict[str, Any]]:
    """Exposures in order of time."""
    listed = [(visit, *exposure) for visit in outcome.visits for exposure in visit.exposures]
    if not listed:
        return []
    times = Time([start.mjd for _, start, _ in listed], format="mjd", scale="utc")
    ra, dec = (np.array([getattr(visit.place, name) for visit, _, _ in listed]) for name in ("ra", "dec"))
    altitude = night.altitude(request.site, ra, dec, times)
    airmass, moon = night.airmass(altitude), night.moon_separation(request.site, ra, dec, times)
    length = TimeDelta(request.timing.exposure, format="sec")
    return [
        {
            "number": number + 1,
            "start": stamp(start),
            "end": stamp(start + length),
            "field_id": visit.place.name,
            "ra": visit.place.ra,
            "dec": visit.place.dec,
            "filter": name,
            "exposure": request.timing.exposure,
            "visit": visit.number,
            "altitude": round(float(altitude[number]), 3),
            "airmass": round(float(airmass[number]), 4),
            "moon_separation": round(float(moon[number]), 3),
            "probability": outcome.each[visit.place.name],
        }
        for number, (visit, start, name) in enumerate(listed)
    ]


def table(outcome: Outcome, request: Request) -> str:
    """The plan as CSV, an exposure a line."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows(outcome, request))
    return text.getvalue()


def queue(name: str, outcome: Outcome, request: Request, program_pi: str) -> dict[str, Any]:
    """The plan as SkyPortal hands its own to telescopes: `queue_name`, `validity_window_mjd` and `targets` in order."""
    window = outcome.window
    return {
        "queue_name": name,
        "validity_window_mjd": [] if window is None else [float(window[0].mjd), float(window[1].mjd)],
        "targets": [
            {
                "request_id": row["number"],
                "field_id": row["field_id"],
                "ra": row["ra"],
                "dec": row["dec"],
                "filter": row["filter"],
                "exposure_time": row["exposure"],
                "program_pi": program_pi,
            }
            for row in rows(outcome, request)
        ],
    }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
