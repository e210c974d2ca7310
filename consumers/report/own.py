"""Nuncius itself, as observers tell it what they did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from consumers.api import Api

__all__ = ["AT_ONCE", "send_classifications", "send_observations"]

AT_ONCE = 500
"""Observations in one request: the broker takes a thousand."""


def send_observations(nuncius: Api, event: str, observations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Send observations some at a time; what was sent before a fault is kept, and sent again does no harm."""
    done: dict[str, Any] = {"event": event, "new": 0, "changed": 0, "unchanged": 0}
    for first in range(0, len(observations), AT_ONCE):
        body = {"observations": list(observations[first : first + AT_ONCE])}
        answer = nuncius.post("events", event, "observations", body=body)
        done["event"] = answer["event"]
        for name in ("new", "changed", "unchanged"):
            done[name] += answer[name]
    return done


def send_classifications(nuncius: Api, alert_id: str, classifications: Sequence[Mapping[str, Any]]) -> Any:
    """Send classifications of an alert; what the alert is now said to be comes back."""
    return nuncius.post("alerts", alert_id, "classifications", body={"classifications": list(classifications)})
