"""``alerts/{id}/trace``: the way of one alert."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from broker.api.auth import Asks
from broker.api.hidden import Hidden, hidden_from
from broker.api.packets import AlertId
from broker.api.principal import Principal
from broker.api.problems import RESPONSES
from broker.api.services import Services
from broker.api.values import plain

__all__ = ["router"]


class Step(BaseModel):
    """One step; what more there is to say of it stands beside."""

    model_config = ConfigDict(extra="allow")

    step: str = Field(
        description="`received`, `archived`, `frames`, `database`, `crossmatch`, `association`, `matched`, `dropped`, "
        "`published`, `rescored`, `relayed`, `revision`, `delivery`, `claimed` or `dead-lettered`",
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
        steps = [hidden.step(one) for one in told["steps"] if _may_see(one, asks, hidden)]
        return Trace.model_validate({**told, "steps": steps})

    return routes


def _may_see(step: Mapping[str, Any], asks: Principal, hidden: Hidden) -> bool:
    """Whether a step is nobody else's: what was delivered to whom is theirs alone."""
    if step["step"] == "delivery" and not asks.admin and (asks.user is None or step["owner"] != asks.user):
        return False
    return step.get("filter") not in hidden.filters
