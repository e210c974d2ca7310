"""``events/{name}/alerts``: the alerts that lie in an event's sky map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import polars as pl
from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field

from broker.api.cursor import next_link
from broker.api.models import Utc
from broker.api.packets import filename
from broker.api.problems import RESPONSES
from broker.api.render.table import TABLES, Format, render, wanted_format
from broker.api.services import Services
from broker.api.values import plain
from broker.store import association_pages as stored
from broker.store.events import canonical_name

__all__ = ["AssociatedAlert", "AssociatedAlerts", "router", "shown"]


class AssociatedAlert(BaseModel):
    """An alert, and where in the event's map it lies."""

    alert_id: str = Field(examples=["ztf:2445391170915015005"])
    object_id: str | None = None
    stream: str
    time: Utc | None = Field(default=None, description="Of the exposure, UTC")
    ra: float | None = Field(default=None, description="Degrees, ICRS")
    dec: float | None = None
    mag: float | None = None
    band: str | None = None
    state: str = Field(description="`live`; `left`: the latest map no longer holds it; `retracted`: the event is")
    credible_level: float = Field(description="Smallest credible region that holds the alert, 0 to 1")
    volume_level: float | None = Field(
        default=None, description="Smallest credible volume that holds it, where map and host have a distance"
    )
    density: float = Field(description="Probability per steradian")
    dt: float = Field(description="Seconds, alert minus event")
    distance: float | None = Field(default=None, description="Mpc, luminosity distance of the alert's host")
    revision: int = Field(description="Of the event, that all this was found on")
    previous_level: float | None = Field(
        default=None, description="Credible level before the notice that changed it last; null where none did"
    )
    computed: Utc = Field(description="When it was found, UTC")


class AssociatedAlerts(BaseModel):
    """Alerts in an event's sky map, those deepest in it first."""

    event: str = Field(description="The name the event goes by")
    items: list[AssociatedAlert]
    next: str | None = Field(default=None, description="Address of the next page; null at the end")


def shown(row: dict[str, Any]) -> AssociatedAlert:
    """An alert as `broker.store.association_pages.page` has it."""
    instants = {name: row[name] for name in ("time", "computed")}
    return AssociatedAlert.model_validate({name: plain(value, name) for name, value in row.items()} | instants)


_TEXT = ("alert_id", "object_id", "stream", "band", "state")
_INSTANTS = ("time", "computed")


def _frame(rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """A row an alert, the columns as `AssociatedAlert` has them."""
    schema: dict[str, Any] = dict.fromkeys(AssociatedAlert.model_fields, pl.Float64)
    schema |= dict.fromkeys(_TEXT, pl.String) | dict.fromkeys(_INSTANTS, pl.Datetime("us", "UTC")) | {"revision": pl.Int64}
    return pl.DataFrame([{name: row[name] for name in schema} for row in rows], schema=schema, orient="row")


def router(services: Services) -> APIRouter:
    """Routes of this resource. Those of `broker.api.events` must stand behind them."""
    routes = APIRouter(prefix="/events", tags=["events"], responses=RESPONSES)

    @routes.get("/{name:path}/alerts", response_model=AssociatedAlerts, responses={200: {"content": TABLES}})
    def alerts(  # noqa: PLR0917 - FastAPI hands them over by name
        request: Request,
        name: Annotated[str, Path(description="Event name or any alias, percent-encoded", examples=["S240422ed"])],
        level: Annotated[float, Query(gt=0, le=1, description="Only alerts up to this credible level")] = 1.0,
        limit: Annotated[int, Query(ge=1, le=10_000, description="Alerts a page")] = 100,
        cursor: Annotated[str | None, Query(description="From the `next` of the page before")] = None,
        fmt: Annotated[Format | None, Query(alias="format", description="Shape of the answer")] = None,
    ) -> Any:
        """Survey alerts that lie in the event's sky map or did, those deepest in it first."""
        wanted = wanted_format(request, fmt)
        event = canonical_name(services.store, name)
        page = stored.page(services.store, event, level=level, limit=limit, cursor=cursor)
        link = next_link(request, page.cursor)
        if wanted is Format.json:
            return AssociatedAlerts(event=event, items=[shown(row) for row in page.alerts], next=link)
        headers = {"Link": f'<{link}>; rel="next"'} if link else {}
        described = f"Alerts in the sky map of {event}"
        return render(_frame(page.alerts), wanted, name=f"{filename(event, 'alerts')}", description=described, headers=headers)

    return routes
