"""``filters/explain``: why a filter picks what it picks."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

from fastapi import APIRouter
from pydantic import Field

from broker.api.asked import Asked
from broker.api.auth import Asks
from broker.api.problems import RESPONSES, TooBusyError
from broker.api.services import Services
from broker.api.values import plain

__all__ = ["router"]

AT_ONCE = 2


class Explain(Asked):
    """A filter, and one alert or those of a window of time."""

    alert_id: str | None = Field(
        default=None, description="What each clause says of this alert", examples=["ztf:2445391170915015005"]
    )


def router(services: Services) -> APIRouter:
    """Routes of this resource. They must stand before ``filters/{name}``."""
    routes = APIRouter(prefix="/filters", tags=["filters"], responses=RESPONSES)
    room = threading.Semaphore(AT_ONCE)

    @routes.post("/explain")
    def explain(asked: Explain, asks: Asks) -> dict[str, Any]:
        """How many of the alerts kept pass each clause of a filter, alone and in order; or what each says of one alert.

        Of all alerts: `evaluated`, `matched`, and `clauses` with `text`, `passes_alone`, `passes_in_order`. Of one: `matches`,
        and `clauses` with `text`, `value` by column, and `true`, null where unknown.
        """
        window = replace(asked.window(services, asks), alert_id=asked.alert_id)
        if not room.acquire(blocking=False):
            message = f"{AT_ONCE} filters are being explained: try again when one is done"
            raise TooBusyError(message)
        try:
            told: dict[str, Any] = plain(services.explain(window))
        finally:
            room.release()
        return told

    return routes
