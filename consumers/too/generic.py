"""The generic request, for a telescope of one's own: a JSON object that ``request.schema.json`` describes."""

from __future__ import annotations

from typing import Any

from consumers.too.checks import level_of
from consumers.too.request import Request, events_of, stamp, without_empty

__all__ = ["generic_request"]


def generic_request(request: Request) -> dict[str, Any]:
    """The object that is posted, or written in a dry run."""
    rule, alert, limits = request.rule, request.alert, request.rule.limits
    site = rule.site
    return {
        "type": "nuncius.request",
        "version": 1,
        "request_id": request.key,
        "name": request.name,
        "rule": rule.name,
        "created": stamp(request.made),
        "priority": rule.priority,
        "proposal": rule.table["proposal"],
        "telescope": rule.table["telescope"],
        "instrument": rule.table["instrument"],
        "target": {"name": request.target, "ra": request.ra, "dec": request.dec, "frame": "ICRS"},
        "window": {"start": stamp(request.start), "end": stamp(request.end)},
        "exposures": [{"band": one.band, "seconds": one.seconds, "count": one.count} for one in rule.exposures],
        "constraints": without_empty(
            {
                "min_altitude": limits.min_altitude,
                "max_airmass": limits.max_airmass,
                "min_moon_separation": limits.min_moon_separation,
                "max_moon_illumination": limits.max_moon_illumination,
                "max_sun_altitude": limits.max_sun_altitude,
            }
        ),
        "site": site and {"name": site.name, "longitude": site.longitude, "latitude": site.latitude, "height": site.height},
        "alert": without_empty(
            {
                "alert_id": alert.alert_id,
                "stream": alert.stream,
                "object_id": alert.object_id,
                "events": list(events_of(alert)),
                "time": stamp(alert.time) if alert.time else None,
                "mag": alert.mag,
                "band": alert.band,
                "credible_level": level_of(alert),
                "ra_dec_error": alert.ra_dec_error,
            }
        ),
        "extra": dict(rule.table["extra"]),
    }
