"""A request for observations, whoever is asked; and its name, by which it is found again."""

from __future__ import annotations

import hashlib
import json
import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from consumers.alert import Alert
from consumers.too.rules import Rule

__all__ = [
    "KEY_LENGTH",
    "Payload",
    "Request",
    "clean",
    "events_of",
    "key_of",
    "name_of",
    "stamp",
    "target_name",
    "without_empty",
]

KEY_LENGTH = 12
Payload = dict[str, Any] | str
"""What is posted: a JSON object, or a document as text."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request.

    Parameters
    ----------
    key
        Hexadecimal; the same for the same rule and alert, so that a request made twice is known to be one.
    name
        Safe letters, 50 at most, with the key at its end.
    ra, dec
        Degrees, ICRS; ``None`` for a plan over an event's map.
    start, end
        UTC: when the target can be observed within the rule's limits.
    """

    key: str
    name: str
    rule: Rule
    alert: Alert
    target: str
    ra: float | None
    dec: float | None
    start: datetime
    end: datetime
    made: datetime

    @property
    def max_airmass(self) -> float:
        """The tighter one of the rule's bound and that of its altitude (secant of the zenith distance), 25 at most."""
        limits = self.rule.limits
        lowest = 1.0 / max(math.sin(math.radians(limits.min_altitude)), 0.04)
        return min(25.0, lowest, limits.max_airmass if limits.max_airmass is not None else lowest)


def key_of(rule: str, alert_id: str, again: int = 0) -> str:
    """Key of a request.

    Parameters
    ----------
    again
        How many requests of this rule for this alert were cancelled before.

    Examples
    --------
    >>> key_of("gw", "ztf:1") == key_of("gw", "ztf:1"), key_of("gw", "ztf:1") == key_of("gw", "ztf:2")
    (True, False)
    """
    return hashlib.sha256(json.dumps([rule, alert_id, again]).encode()).hexdigest()[:KEY_LENGTH]


def clean(text: str, longest: int) -> str:
    r"""Text of letters, digits, ``_``, ``-``, ``+`` and ``.`` alone.

    Examples
    --------
    >>> clean("SN 2026ab/\n<x>", 20)
    'SN_2026ab_x'
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9+.-]+", "_", plain).strip("_.")[:longest]


def name_of(rule: str, target: str, key: str, longest: int = 50) -> str:
    """Name of a request: target, rule and key; what is too long is cut, never the key.

    Examples
    --------
    >>> name_of("gw-1m", "ZTF26aaaaaab", "0123456789ab")
    'ZTF26aaaaaab_gw-1m_0123456789ab'
    """
    room = longest - len(key) - 1
    first = clean(target, min(room, 26)) or "target"
    second = clean(rule, max(0, room - len(first) - 1)).rstrip("_.")
    return "_".join(part for part in (first, second, key) if part)


def target_name(alert: Alert) -> str:
    """What it is called: object, else event, else alert."""
    return alert.object_id or alert.event_name or alert.alert_id


def events_of(alert: Alert) -> tuple[str, ...]:
    """Events that it belongs to: the one whose map changed, its own, those whose maps hold it."""
    named = [alert.update_event, alert.event_name, *(level.event for level in alert.skymaps)]
    return tuple(dict.fromkeys(name for name in named if name))


def stamp(time: datetime) -> str:
    """ISO 8601 to the second, UTC, with Z."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def without_empty(data: Mapping[str, Any]) -> dict[str, Any]:
    """The entries that are neither ``None`` nor empty text."""
    return {key: value for key, value in data.items() if value is not None and value != ""}
