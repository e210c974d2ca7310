"""A match as a webhook's body has it, as a VOEvent 2.0: for subscriptions with ``format = "voevent"``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from broker.deliver.voevent import Sender, Told, match_voevent

__all__ = ["CONTENT_TYPE", "voevent_of"]

CONTENT_TYPE: Final = "application/xml"


def voevent_of(data: Mapping[str, Any], sender: Sender) -> bytes:
    """VOEvent of a match, or of what has changed about one; the same bytes for the same data, however often it is sent.

    Parameters
    ----------
    data
        As in a webhook's body: ``filter``, ``version``, ``time``, ``alert``, and for what was told before ``update`` and
        ``update_event``. Times are ISO 8601.
    sender
        Who it is from.
    """
    alert: dict[str, Any] = {**data["alert"], "time": _time(data["alert"].get("time"))}
    event = data.get("update_event")
    revision = next((each.get("revision") for each in alert.get("skymaps") or () if each.get("event") == event), None)
    told = Told(_time(data.get("time")) or datetime.fromtimestamp(0, UTC), data.get("update"), event, revision)
    return match_voevent(alert, str(data["filter"]), str(data["version"]), told, sender)


def _time(value: Any) -> datetime | None:
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        return None
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
