"""Counterparts as GCN's unified JSON, in the shape of ``gcn.notices.boom.alert``; our schema of it: ``schemas/gcn/``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from broker.deliver.counterpart import INSTRUMENTS, Counterpart, Crossmatch, Point
from broker.record import Message

__all__ = ["SCHEMA", "message", "notice"]

SCHEMA: Final = "https://gcn.nasa.gov/schema/main/gcn/notices/boom/alert.schema.json"


def notice(found: Counterpart, *, mission: str) -> dict[str, Any]:
    """Notice of a counterpart.

    Parameters
    ----------
    mission
        As whom we speak.
    """
    alert = found.alert
    target: dict[str, Any] = {
        "event_name": found.name,
        "id": alert["alert_id"],
        "ra": alert["ra"],
        "dec": alert["dec"],
        "ra_dec_error": alert.get("ra_dec_error"),
        "containment_probability": alert.get("containment_probability") if alert.get("ra_dec_error") is not None else None,
        "classification_scores": _classes(alert),
        "gcn_crossmatch": [_reference(event) for event in found.events],
    }
    return {
        "$schema": SCHEMA,
        "alert_datetime": iso(found.told),
        "alert_tense": "test" if found.test else "current",
        "alert_type": found.change,
        "mission": mission,
        "data": {
            "targets": [_without_null(target)],
            "photometry": [_photometry(found, point) for point in found.points],
        },
    }


def message(found: Counterpart, topic: str, *, mission: str) -> Message:
    """The notice as it goes to Kafka; notices of one source keep their order."""
    body = json.dumps(notice(found, mission=mission), ensure_ascii=False, allow_nan=False).encode()
    return Message(topic, body, found.name.encode(), (("nuncius.delivery_id", str(found.id).encode()),))


def iso(when: datetime) -> str:
    """UTC with milliseconds and ``Z``."""
    return f"{when:%Y-%m-%dT%H:%M:%S}.{when.microsecond // 1000:03d}Z"


def _reference(event: Crossmatch) -> dict[str, Any]:
    stream, _, native = event.notice.partition(":")
    return _without_null(
        {
            "ref_type": event.kind or None,
            "ref_instrument": event.reporter or None,
            "ref_ID": event.name,
            "reference": {stream: native} if native else None,
            # Not in GCN's schema, which leaves room for them.
            "revision": event.revision,
            "credible_level": None if event.level is None else round(event.level, 6),
            "time_offset": None if event.dt is None else round(event.dt, 3),
        }
    )


def _photometry(found: Counterpart, point: Point) -> dict[str, Any]:
    stream = str(found.alert.get("stream") or "")
    telescope, instrument, prefix = INSTRUMENTS.get(stream, (None, stream.upper() or None, stream))
    return _without_null(
        {
            "event_name": found.name,
            "observation_start": iso(point.time),
            "telescope": telescope,
            "instrument": instrument,
            "filter": prefix + point.band if point.band else None,
            "mag": _rounded(point.mag),
            "mag_error": _rounded(point.mag_err),
            "mag_system": "AB",
            "limiting_mag": _rounded(point.limit),
        }
    )


def _classes(alert: Mapping[str, Any]) -> dict[str, float] | None:
    """Probabilities that are among the annotations as ``class.<name>``."""
    scores = {
        name.removeprefix("class."): float(value)
        for name, value in (alert.get("annotations") or {}).items()
        if name.startswith("class.") and isinstance(value, int | float) and not isinstance(value, bool)
    }
    return scores or None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _without_null(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
