"""``alerts/{id}/classifications``: what people and classifiers take an alert for."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field

from broker.api.auth import Asks
from broker.api.models import Classification
from broker.api.packets import AlertId
from broker.api.problems import RESPONSES
from broker.api.reported import ClassificationsIn, may_take_out
from broker.api.services import Services
from broker.errors import NotFoundError
from broker.store import alerts
from broker.store import classifications as stored

__all__ = ["Classifications", "router"]

ClassificationId = Annotated[str, Path(description="Ours", examples=["cls_0a1b2c3d4e5f0a1b2c3d4e5f"])]


class Classifications(BaseModel):
    """Classifications of an alert, those sent last first."""

    alert_id: str = Field(examples=["ztf:2445391170915015005"])
    items: list[Classification]


def router(services: Services) -> APIRouter:
    """Routes of this resource. Those of `broker.api.alerts` must stand behind them."""
    routes = APIRouter(prefix="/alerts", tags=["follow-up"], responses=RESPONSES)

    @routes.post("/{alert_id:path}/classifications", status_code=201)
    def post(alert_id: AlertId, sent: ClassificationsIn, asks: Asks) -> Classifications:
        """Say what an alert is, or is taken for: all are kept, or none.

        The same class of the same taxonomy, classifier and version, sent again, replaces its probability.
        """
        rows = stored.post(services.store, alert_id, [one.model_dump() for one in sent.classifications], who=asks.name)
        return Classifications(alert_id=alert_id, items=[Classification.model_validate(row) for row in rows])

    @routes.delete("/{alert_id:path}/classifications/{classification_id}", status_code=204)
    def remove(alert_id: AlertId, classification_id: ClassificationId, asks: Asks) -> Response:
        """Take out a classification that should never have been sent; who sent it may, and administrators."""
        row = stored.get(services.store, classification_id)
        if row["alert_id"] != alert_id:
            raise NotFoundError(f"classification {classification_id[:80]!r} is not of alert {alert_id!r}")
        may_take_out(asks, row)
        stored.remove(services.store, classification_id)
        return Response(status_code=204)

    @routes.get("/{alert_id:path}/classifications")
    def listing(alert_id: AlertId) -> Classifications:
        """What an alert was said to be, those sent last first."""
        alerts.get(services.store, alert_id)
        rows = stored.of_alert(services.store, alert_id)
        return Classifications(alert_id=alert_id, items=[Classification.model_validate(row) for row in rows])

    return routes
