"""``events``, ``events/{name}`` and ``events/{name}/region``: gamma-ray bursts, gravitational waves, neutrinos, ..."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import healpy as hp
import numpy as np
from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field

from broker.api.cursor import next_link
from broker.api.models import Utc
from broker.api.params import instant
from broker.api.problems import RESPONSES
from broker.api.services import Cell, Services
from broker.api.values import plain
from broker.errors import NotFoundError
from broker.store import events as stored

__all__ = ["corners", "router"]

EventName = Annotated[str, Path(description="Event name, percent-encoded", examples=["S240422ed"])]


class Event(BaseModel):
    """What is known of an event now."""

    name: str = Field(examples=["S240422ed"])
    stream: str | None = None
    latest_alert_id: str = Field(description="The latest notice of it")
    time: Utc | None = Field(default=None, description="When it happened, UTC")
    ra: float | None = Field(default=None, description="Degrees, ICRS")
    dec: float | None = None
    ra_dec_error: float | None = Field(default=None, description="Degrees, radius of the containment_probability region")
    containment_probability: float | None = None
    messenger: str | None = None
    mission: str | None = None
    instrument: str | None = None
    alert_type: str | None = None
    alert_tense: str | None = None
    classification: str | None = None
    far: float | None = Field(default=None, description="Hz")
    p_astro: float | None = None
    area50: float | None = Field(default=None, description="Square degrees")
    area90: float | None = Field(default=None, description="Square degrees")
    distmean: float | None = Field(default=None, description="Mpc")
    diststd: float | None = Field(default=None, description="Mpc")
    revision: int | None = None
    updated: Utc | None = Field(default=None, description="When we last heard of it")
    retracted: bool = False
    has_map: bool = Field(default=False, description="Whether `/region` has something to show")


class EventPage(BaseModel):
    """Events, the last to change first."""

    items: list[Event]
    next: str | None = Field(default=None, description="Address of the next page; null at the end")


class Notice(BaseModel):
    """One revision of what is known of an event."""

    revision: int
    alert_id: str
    received: Utc | None = None
    time: Utc | None = None
    ra: float | None = None
    dec: float | None = None
    ra_dec_error: float | None = None
    alert_type: str | None = None
    alert_tense: str | None = None
    classification: str | None = None
    far: float | None = None
    p_astro: float | None = None
    area50: float | None = None
    area90: float | None = None
    distmean: float | None = None
    diststd: float | None = None


class EventDetail(Event):
    """An event with all its notices."""

    notices: list[Notice] = Field(description="In the order they came")


class Region(BaseModel):
    """A credible region, coarse enough to draw."""

    name: str
    level: float
    cells: list[list[list[float]]] = Field(description="Corners of each HEALPix cell: right ascension and declination, degrees")


def corners(cells: Sequence[Cell]) -> list[list[list[float]]]:
    """Corners of HEALPix cells.

    Parameters
    ----------
    cells
        Order and NESTED index of each.

    Returns
    -------
    list
        For each cell four positions in degrees, ICRS, in the order given.
    """
    shapes = []
    for order, index in cells:
        vectors = hp.boundaries(1 << order, index, step=1, nest=True)
        lon, lat = hp.vec2ang(vectors.T, lonlat=True)
        shapes.append([[round(float(ra), 3), round(float(dec), 3)] for ra, dec in zip(lon, np.asarray(lat), strict=True)])
    return shapes


def _fields(row: Mapping[str, Any]) -> dict[str, Any]:
    known = {name: plain(row[name], name) for name in Event.model_fields if name in row and name != "name"}
    return known | {
        "name": row["event_name"],
        "latest_alert_id": row["alert_id"],
        "retracted": row["state"] == "retracted",
        "has_map": row["map_path"] is not None,
    }


def router(services: Services) -> APIRouter:
    """Routes of this resource."""
    routes = APIRouter(prefix="/events", tags=["events"], responses=RESPONSES)

    @routes.get("")
    def events(  # noqa: PLR0917 - FastAPI hands them over by name
        request: Request,
        stream: Annotated[str | None, Query(description="One stream", examples=["lvk"])] = None,
        start: Annotated[str | None, Query(description="Happened from this time on: ISO 8601 or MJD, UTC")] = None,
        end: Annotated[str | None, Query(description="Happened before this time: ISO 8601 or MJD, UTC")] = None,
        real: Annotated[bool, Query(description="Leave out tests, injections and commanded events")] = False,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        cursor: Annotated[str | None, Query(description="From the `next` of the page before")] = None,
    ) -> EventPage:
        """Events, the last to change first."""
        page = stored.list_events(
            services.store,
            limit=limit,
            cursor=cursor,
            real_only=real,
            stream=stream,
            start=instant(start, "start") if start else None,
            end=instant(end, "end") if end else None,
        )
        return EventPage(
            items=[Event.model_validate(_fields(row)) for row in page.events], next=next_link(request, page.cursor)
        )

    @routes.get("/{name:path}/region")
    def region(
        name: EventName,
        level: Annotated[float, Query(gt=0, lt=1, description="Probability inside")] = 0.9,
    ) -> Region:
        """The credible region of the event's latest sky map, as HEALPix cells coarse enough to draw."""
        event = stored.get_event(services.store, name)
        cells = services.region(event["event_name"], level)
        if not cells:
            message = f"event {name!r} has no sky map"
            raise NotFoundError(message)
        return Region(name=event["event_name"], level=level, cells=corners(cells))

    @routes.get("/{name:path}")
    def event(name: EventName) -> EventDetail:
        """One event, with all its notices."""
        row = stored.get_event(services.store, name)
        notices = [plain(notice) for notice in row["revisions"]]
        return EventDetail.model_validate(_fields(row) | {"notices": notices})

    return routes
