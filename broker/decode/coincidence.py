"""Coincidences of two events as we found them ourselves (``raw.coincidence``): JSON under the names of ``nuncius.coincidence``.

The notice is of the event that the search started from, and placed where the combined map is densest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from broker.decode.notice import Notice, position
from broker.decode.notice_json import as_number, as_text, flatten
from broker.decode.notice_time import parse_time
from broker.errors import DecodeError

__all__ = ["from_coincidence", "is_coincidence"]

_SCHEMA = "nuncius/coincidence/"


def is_coincidence(value: Mapping[str, Any]) -> bool:
    """Whether the object is one of ours."""
    return (as_text(value.get("$schema")) or "").startswith(_SCHEMA) and isinstance(value.get("coincidence"), dict)


def from_coincidence(value: Mapping[str, Any]) -> Notice:
    """Notice of a revision of a coincidence; its fields are ``coincidence.far_temporal``, ``coincidence.external.name``, ...

    Raises
    ------
    DecodeError
        It has no id, no revision or no event.
    """
    found = value["coincidence"]
    event, external = found.get("event"), found.get("external")
    identifier, number = as_text(found.get("id")), as_number(found.get("revision"))
    if identifier is None or number is None or not isinstance(event, dict) or not isinstance(external, dict):
        raise DecodeError("a coincidence without id, revision or events: it is known by them")
    place, notes = position(as_number(found.get("ra")), as_number(found.get("dec")))
    joint, temporal = as_number(found.get("far_space_time")), as_number(found.get("far_temporal"))
    retracted = found.get("state") == "retracted"
    return Notice(
        native_id=f"{identifier}:{int(number)}",
        event_name=as_text(event.get("event_name")),
        related=tuple(filter(None, (as_text(external.get("name")),))),
        time=parse_time(as_text(event.get("time"))),
        issued=parse_time(as_text(found.get("computed"))),
        serial=int(number),
        ra=place.ra,
        dec=place.dec,
        mission="Nuncius",
        alert_type="retraction" if retracted else "initial" if number == 1 else "update",
        alert_tense="current" if found.get("real") is True else "test",
        far=temporal if joint is None else joint,
        classification=as_text(found.get("classification")),
        deviations=tuple(notes),
        fields=flatten({"coincidence": found}) | {"notice_type": "COINCIDENCE"},
    )
