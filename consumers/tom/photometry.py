"""Light curves of objects as reduced data of a TOM's targets."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tom_dataproducts.models import PhotometryReducedDatum

from consumers.errors import RequestError
from consumers.tom.configured import NAME, address, api

__all__ = ["keep", "names_of", "update"]

_MJD_EPOCH = datetime(1858, 11, 17, tzinfo=UTC)
_UNKNOWN = "unknown"  # a datum must have a band


def update(target: Any, object_id: str | None = None) -> int:
    """Bring a target's photometry up to date, and tell how many measurements there are.

    Parameters
    ----------
    object_id
        What the survey calls it; unless given, the target's name and its aliases are tried.
    """
    count = 0
    with api() as nuncius:
        for name in [object_id] if object_id else names_of(target):
            try:
                curve = nuncius.json("objects", name, "lightcurve")
            except RequestError:  # the survey does not call it so
                continue
            count += keep(target, curve["points"], name, telescope=nuncius.json("objects", name)["streams"][0].upper())
    return count


def names_of(target: Any) -> list[str]:
    """Name and aliases of a target."""
    return [str(target.name), *(str(alias.name) for alias in target.aliases.all())]


def keep(target: Any, points: Iterable[Mapping[str, Any]], object_id: str, *, telescope: str) -> int:
    """Keep points of a light curve; one that is there already is brought up to date, not doubled.

    What is fainter than in the reference image (``positive`` is false) is left out: its magnitude is that of what is missing,
    and a TOM would plot it as brightness.
    """
    count = 0
    for point in points:
        if not _number(point.get("time")) or not _number(point.get("mag")):
            continue
        time, mag = float(point["time"]), float(point["mag"])
        kind = point.get("kind") or "detection"
        if kind != "limit" and point.get("positive") is False:
            continue
        measured = {"limit": mag, "brightness": None} if kind == "limit" else {"brightness": mag, "limit": None}
        PhotometryReducedDatum.objects.update_or_create(
            target=target,
            bandpass=point.get("band") or _UNKNOWN,
            timestamp=_MJD_EPOCH + timedelta(microseconds=round(time * 86_400_000_000)),
            source_name=NAME,
            reduction_version=kind,  # forced photometry and a detection are of one instant
            defaults={
                **measured,
                "brightness_error": point.get("mag_err") if _number(point.get("mag_err")) else None,
                "unit": "AB",
                "telescope": telescope,
                "source_location": f"{address()}/objects/{object_id}"[:200],
            },
        )
        count += 1
    return count


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
