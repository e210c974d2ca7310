"""``objects/{id}`` and its light curve."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import polars as pl
from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from broker.api.auth import Asks
from broker.api.convert import alert_of
from broker.api.hidden import hidden_from
from broker.api.models import Alert, Picked, Utc
from broker.api.problems import RESPONSES
from broker.api.render.table import TABLES, Format, jsonable, render, wanted_format
from broker.api.services import Services
from broker.errors import NotFoundError
from broker.store import alerts as stored

__all__ = ["router"]

RECENT = 100

ObjectId = Annotated[str, Path(description="Object id or event name, percent-encoded", examples=["ZTF23aaxeydp"])]


class SkyObject(BaseModel):
    """An object: what its alerts say together."""

    object_id: str = Field(examples=["ZTF23aaxeydp"])
    streams: list[str] = Field(examples=[["ztf"]])
    ra: float | None = Field(description="Degrees, ICRS: of the latest alert that has a position")
    dec: float | None = None
    first: Utc | None = Field(description="Time of the first alert we have")
    last: Utc | None = None
    alert_count: int
    latest: Alert = Field(description="The latest alert, with the filters that picked it")
    alerts: list[Alert] = Field(description="The latest hundred, newest first")
    lightcurve: str = Field(description="Address of its light curve")


class Point(BaseModel):
    """A point of a light curve; a survey may give more than is listed."""

    model_config = ConfigDict(extra="allow")

    time: float | None = Field(default=None, description="MJD, UTC", examples=[60310.42])
    mag: float | None = Field(default=None, description="Magnitude, or the limit where `kind` is `limit`")
    mag_err: float | None = None
    band: str | None = None
    kind: str = Field(default="detection", description="`detection`, `forced` or `limit`")


class LightCurve(BaseModel):
    """All we know of an object's brightness, oldest first."""

    object_id: str
    points: list[Point]


def router(services: Services) -> APIRouter:
    """Routes of this resource."""
    routes = APIRouter(prefix="/objects", tags=["objects"], responses=RESPONSES)
    answers: dict[int | str, dict[str, Any]] = {200: {"description": "Points, oldest first", "content": TABLES}}

    def known(object_id: str) -> list[dict[str, Any]]:
        rows = stored.object_alerts(services.store, object_id)
        if not rows:
            message = f"no object {object_id!r} among our alerts"
            raise NotFoundError(message)
        return rows

    @routes.get("/{object_id:path}/lightcurve", response_model=LightCurve, responses=answers)
    def lightcurve(
        object_id: ObjectId,
        request: Request,
        format: Annotated[Format | None, Query(description="Shape of the answer; else the Accept header says")] = None,  # noqa: A002
    ) -> Any:
        """Detections, forced photometry and limits, from every packet of the object we have."""
        known(object_id)
        points: pl.DataFrame = services.light_curve(object_id)
        shape = wanted_format(request, format)
        if shape is Format.json:
            return {"object_id": object_id, "points": jsonable(points)}
        return render(points, shape, name="lightcurve", description=f"Light curve of {object_id}")

    @routes.get("/{object_id:path}")
    def sky_object(object_id: ObjectId, request: Request, asks: Asks) -> SkyObject:
        """An object, with its latest alerts."""
        rows = known(object_id)
        placed: dict[str, Any] = next((row for row in reversed(rows) if row["ra"] is not None), {})
        times = [row["time"] for row in rows if row["time"] is not None]
        hidden = hidden_from(services, asks)
        recent = [alert_of(hidden.kept(row)) for row in reversed(rows[-RECENT:])]
        latest = recent[0].model_copy()
        picked = hidden.matches(stored.get(services.store, latest.alert_id))
        latest.matches = [Picked.model_validate(match) for match in picked]
        return SkyObject(
            object_id=object_id,
            streams=sorted({row["stream"] for row in rows}),
            ra=placed.get("ra"),
            dec=placed.get("dec"),
            first=min(times, default=None),
            last=max(times, default=None),
            alert_count=len(rows),
            latest=latest,
            alerts=recent,
            lightcurve=f"{request.scope['root_path']}/api/v1/objects/{quote(object_id, safe='')}/lightcurve",
        )

    return routes
