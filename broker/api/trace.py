"""``alerts/{id}/trace``: the way of one alert."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from broker.api.auth import Asks
from broker.api.hidden import hidden_from
from broker.api.packets import AlertId
from broker.api.problems import RESPONSES
from broker.api.services import Services
from broker.api.values import plain

__all__ = ["router"]


class Step(BaseModel):
    """One step; what more there is to say of it stands beside."""

    model_config = ConfigDict(extra="allow")

    step: str = Field(
        description="`received`, `archived`, `frames`, `database`, `crossmatch`, `association`, `matched`, `dropped`, "
        "`published`, `rescored`, `relayed`, `revision`, `claimed` or `dead-lettered`",
        examples=["matched"],
    )
    at: datetime | None = Field(description="When, UTC; null where nobody noted it")


class Trace(BaseModel):
    """The steps of an alert."""

    alert_id: str
    kept: bool = Field(description="Whether it became an alert")
    steps: list[Step]


def router(services: Services) -> APIRouter:
    """Routes of this resource. They must stand before ``alerts/{id}``, which would swallow them."""
    routes = APIRouter(prefix="/alerts", tags=["alerts"], responses=RESPONSES)

    @routes.get("/{alert_id:path}/trace")
    def trace(alert_id: AlertId, asks: Asks) -> Trace:
        """The steps an alert took: received, kept, held against catalogues and maps, picked or dropped, published."""
        told = plain(services.trace(alert_id))
        hidden = hidden_from(services, asks)
        steps = [hidden.step(one) for one in told["steps"] if one.get("filter") not in hidden.filters]
        return Trace.model_validate({**told, "steps": steps})

    return routes
