"""Counterparts as messages on SCiMMA's Hopskotch: JSON in the shape of HERMES, with the headers hop-client reads."""

from __future__ import annotations

import json
from typing import Any

from broker.deliver.counterpart import INSTRUMENTS, Counterpart, Point
from broker.deliver.gcn_json import iso
from broker.record import Headers, Message

__all__ = ["content", "headers", "message"]

_TITLES = {"initial": "Optical counterpart candidate", "update": "Update", "retraction": "Retraction"}


def content(found: Counterpart, topic: str, *, sender: str) -> dict[str, Any]:
    """What the message says: title, text, and data as HERMES has them; what HERMES has no name for is in ``extra_data``."""
    alert, first = found.alert, found.events[0]
    title = f"{_TITLES[found.change]}: {found.name} in the localization of {', '.join(event.name for event in found.events)}"
    return {
        "title": title,
        "topic": topic,
        "submitter": sender,
        "authors": sender,
        "message_text": _text(found),
        "data": {
            "event_id": first.name,
            "references": [{"source": "alert", "citation": str(alert["alert_id"]), "url": ""}],
            "targets": [{"name": found.name, "ra": alert["ra"], "dec": alert["dec"], "new_discovery": False}],
            "photometry": [_photometry(found, point) for point in found.points],
            "extra_data": {
                "delivery_id": str(found.id),
                "change": found.change,
                "told": iso(found.told),
                "alert_id": alert["alert_id"],
                "filters": [each["name"] for each in alert.get("filters") or ()],
                "events": [
                    {
                        "event_id": event.name,
                        "type": event.kind,
                        "reported_by": event.reporter,
                        "revision": event.revision,
                        "credible_level": event.level,
                        "time_offset": event.dt,
                    }
                    for event in found.events
                ],
            },
        },
    }


def headers(found: Counterpart, *, sender: str) -> Headers:
    """Headers as hop-client writes them: an id of 16 bytes, the sender, whether it is a test, and the format."""
    marked = (("_test", b"true"),) if found.test else ()
    return (("_id", found.id.bytes), ("_sender", sender.encode()), *marked, ("_format", b"json"))


def message(found: Counterpart, topic: str, *, sender: str) -> Message:
    """The message as it goes to Kafka; messages on one source keep their order."""
    body = json.dumps(content(found, topic, sender=sender), allow_nan=False).encode()
    return Message(topic, body, found.name.encode(), headers(found, sender=sender))


def _text(found: Counterpart) -> str:
    if found.change == "retraction":
        names = ", ".join(event.name for event in found.events)
        return f"{found.name} is no candidate for {names} any more: the event is retracted, or its map no longer holds it."
    said = []
    for event in found.events:
        level = "inside the map" if event.level is None else f"within the {100 * event.level:.1f} % credible region"
        after = "" if event.dt is None else f", {event.dt / 86_400:+.3f} d from it"
        said.append(f"{found.name} lies {level} of {event.name}{after}.")
    return " ".join(said)


def _photometry(found: Counterpart, point: Point) -> dict[str, Any]:
    stream = str(found.alert.get("stream") or "")
    telescope, instrument, prefix = INSTRUMENTS.get(stream, ("", stream.upper(), stream))
    measured = {
        "target_name": found.name,
        "date_obs": iso(point.time),
        "telescope": telescope,
        "instrument": instrument,
        "bandpass": prefix + point.band,
        "brightness": point.mag,
        "brightness_error": point.mag_err,
        "limiting_brightness": point.limit,
        "brightness_unit": None if point.mag is None else "AB mag",
        "limiting_brightness_unit": None if point.limit is None else "AB mag",
    }
    return {name: value for name, value in measured.items() if value is not None}
