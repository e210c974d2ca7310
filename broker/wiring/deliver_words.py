"""What is said of a match: the ``data`` of a message, and the message itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from broker.api.models import Match
from broker.api.values import iso
from broker.store.delivery import Delivery

__all__ = ["KINDS", "body_of", "links_of", "message_of", "object_of"]

KINDS: Mapping[str, str] = {"match": "match", "update": "match.updated", "retraction": "match.retracted", "test": "test"}
"""Type of the message by what a delivery tells."""


def object_of(match: Match) -> str:
    """What is one object: that of a survey, else an event, else the alert by itself."""
    alert = match.alert
    return alert.object_id or alert.event_name or alert.alert_id


def links_of(match: Match, api: str) -> dict[str, str | None]:
    """Where to look; ``None`` for what there is not.

    Parameters
    ----------
    api
        Address that its reader reaches us at; empty, and the links are paths.
    """
    alert, base = match.alert, api.rstrip("/")
    event = match.update_event or alert.event_name
    if event is None and alert.skymaps:
        event = min(alert.skymaps, key=lambda one: 1.0 if one.credible_level is None else one.credible_level).event
    here = quote(alert.alert_id, safe=":")
    placed = alert.ra is not None and alert.dec is not None
    return {
        "alert": f"{base}/alerts/{here}",
        "object": f"{base}/objects/{quote(alert.object_id, safe='')}" if alert.object_id else None,
        "event": f"{base}/events/{quote(event, safe='')}" if event else None,
        "light_curve": f"{base}/api/v1/alerts/{here}/light-curve.png" if alert.object_id and alert.mag is not None else None,
        "finding_chart": f"{base}/api/v1/alerts/{here}/finding-chart.png" if placed else None,
    }


def body_of(said: str, delivery: str, subscription: str, links: Mapping[str, str | None]) -> str:
    """The ``data`` of a message: a match as ``/api/v1/live`` has it, and which delivery to whom it is."""
    more = json.dumps({"delivery_id": delivery, "subscription_id": subscription, "links": links}, separators=(",", ":"))
    return f"{said[:-1]},{more[1:]}"


def message_of(some: Sequence[Delivery], *, digest: bool) -> bytes:
    """Body of a message with a delivery, or with several; the same whenever it is sent again."""
    last = max(some, key=lambda one: one.created)
    kind, data = KINDS[last.change], last.body
    if digest:
        kind, data = "digest", f'{{"count":{len(some)},"matches":[{",".join(one.body for one in some)}]}}'
    return f'{{"type":"{kind}","timestamp":"{iso(last.created)}","data":{data}}}'.encode()
