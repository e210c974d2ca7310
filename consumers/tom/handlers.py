"""What to do with alerts of Nuncius in a TOM: handlers for ``TOPIC_HANDLERS``."""

from __future__ import annotations

import logging
from typing import Any

from tom_targets.models import Target, TargetList

from consumers import Alert, ClientError
from consumers.tom import photometry

__all__ = ["log_alert", "save_target"]

_log = logging.getLogger(__name__)


def log_alert(alert: Alert, *, topic: str = "", **_more: Any) -> None:
    """Write a line of each alert to the log."""
    _log.info("%s: %s at ra %s, dec %s, mag %s", topic, alert.object_id or alert.alert_id, alert.ra, alert.dec, alert.mag)


def save_target(alert: Alert, *, topic: str = "", **_more: Any) -> None:
    """Make a target of each object, once, on a list named for the filter, and bring its photometry up to date.

    An alert that is told again because an event was retracted, or its new map no longer holds it, takes its target off the
    list; the target stays.
    """
    if alert.ra is None or alert.dec is None:
        _log.info("%s is nowhere yet: no target", alert.object_id or alert.alert_id)
        return
    name = alert.object_id or alert.alert_id
    target, _ = Target.objects.get_or_create(name=name, defaults={"type": "SIDEREAL", "ra": alert.ra, "dec": alert.dec})
    listed, _ = TargetList.objects.get_or_create(name=topic.removeprefix("matched.") or "Nuncius")
    if alert.update == "retracted":
        listed.targets.remove(target)
        return
    listed.targets.add(target)
    try:
        photometry.update(target, alert.object_id)
    except ClientError as error:  # the next alert of the object brings it
        _log.warning("photometry of %s: %s", name, error)
