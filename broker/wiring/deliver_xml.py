"""A delivery as a VOEvent."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from broker.deliver.voevent import Told, match_voevent
from broker.store.delivery import Delivery
from broker.wiring.parts import Parts
from broker.wiring.vtp_out import sender

__all__ = ["voevent_of"]

_UPDATES = {"update": "rescored", "retraction": "retracted"}


def voevent_of(one: Delivery, parts: Parts) -> bytes:
    """Packet of a match, or of what has changed about it since."""
    said: dict[str, Any] = json.loads(one.body)
    alert: dict[str, Any] = said["alert"]
    when = alert.get("time")
    alert["time"] = None if when is None else datetime.fromisoformat(when)
    update = _UPDATES.get(one.change)
    told = Told(datetime.fromisoformat(said["time"]), update, one.event if update else None, one.revision if update else None)
    who = sender(parts)
    return match_voevent(alert, one.filter, one.version, told, who._replace(api=parts.settings.deliver.api or who.api))
