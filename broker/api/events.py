"""``events``, ``events/{name}``, its ``revisions``, ``region`` and ``voevent``: bursts, gravitational waves, neutrinos, ..."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, Field, computed_field

from broker.api.cursor import next_link
from broker.api.models import Utc
from broker.api.packets import filename
from broker.api.params import instant
from broker.api.problems import RESPONSES
from broker.api.services import Cell, Services
from broker.api.values import plain
from broker.errors import NotFoundError
from broker.store import events as stored

__all__ = ["corners", "detail", "router", "summary"]

_SMOOTH = 64  # cells of this NSIDE and finer are drawn with straight edges
EventName = Annotated[str, Path(description="Event name, percent-encoded", examples=["S240422ed"])]
_VOEVENT: dict[int | str, dict[str, Any]] = {200: {"description": "The packet", "content": {"application/xml": {}}}}


class Position(BaseModel):
    """Where an event is."""

    ra: float = Field(description="Degrees, ICRS")
    dec: float
    error: float | None = Field(default=None, description="Degrees, radius of the containment_probability region")
    containment_probability: float | None = None


class _Measured(BaseModel):
    """What an event and each of its revisions state."""

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
    significant: bool | None = Field(default=None, description="Whether its mission thinks it significant")
    classification: str | None = Field(default=None, description="The likeliest class")
    far: float | None = Field(default=None, description="False alarm rate, Hz")
    p_astro: float | None = None
    area50: float | None = Field(default=None, description="Square degrees")
    area90: float | None = Field(default=None, description="Square degrees")
    distmean: float | None = Field(default=None, description="Mpc")
    diststd: float | None = Field(default=None, description="Mpc")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def position(self) -> Position | None:
        """Where it is; null where that is not known as a point."""
        if self.ra is None or self.dec is None:
            return None
        return Position(ra=self.ra, dec=self.dec, error=self.ra_dec_error, containment_probability=self.containment_probability)


class Event(_Measured):
    """What is known of an event now."""

    name: str = Field(examples=["S240422ed"])
    aliases: list[str] = Field(default_factory=list, description="Its other names; it answers to each of them")
    state: str = Field(description="early_warning, preliminary, initial, update or retracted")
    test: bool = Field(description="A test, mock, injection or commanded event")
    stream: str | None = None
    latest_alert_id: str = Field(description="The latest notice of it")
    revision: int | None = Field(default=None, description="Number of the latest notice; 0 where there are circulars only")
    map_revision: int | None = Field(default=None, description="The notice that brought the map")
    created: Utc | None = Field(default=None, description="When we first heard of it")
    updated: Utc | None = Field(default=None, description="When we last heard of it")
    retracted: bool = False
    has_map: bool = Field(default=False, description="Whether `/region` has something to show")


class EventPage(BaseModel):
    """Events, the last to change first."""

    items: list[Event]
    next: str | None = Field(default=None, description="Address of the next page; null at the end")


class Citation(BaseModel):
    """Another notice or event that a notice names."""

    how: str = Field(description="followup, supersedes, retraction; refers: its event is that one; coincidence: another event")
    of: str = Field(description="An ivorn, or an event's name")


class Revision(_Measured):
    """One notice of an event."""

    revision: int = Field(description="From 1, in the order of receipt")
    alert_id: str
    stream: str | None = None
    type: str | None = Field(default=None, description="As its sender calls it")
    state: str | None = Field(default=None, description="As an event's; null where the notice tells no stage")
    received: Utc | None = None
    issued: Utc | None = Field(default=None, description="When it was sent, by its own clock")
    serial: int | None = Field(default=None, description="Its number, by its sender")
    change: str = Field(description="What it changed of what was known, in words")
    citations: list[Citation] = Field(default_factory=list)


class Circular(BaseModel):
    """What people wrote of an event."""

    circular: str = Field(description="Its number", examples=["33603"])
    version: int = Field(description="From 1; each edit is one more")
    subject: str | None = None
    submitter: str | None = None
    posted: Utc | None = None
    received: Utc | None = None
    alert_id: str


class EventDetail(Event):
    """An event with all its notices."""

    revisions: list[Revision] = Field(description="In the order they came")
    circulars: list[Circular] = Field(default_factory=list)


class Revisions(BaseModel):
    """An event's notices."""

    name: str
    items: list[Revision] = Field(description="In the order they came")


class Region(BaseModel):
    """A credible region, coarse enough to draw."""

    name: str
    level: float
    cells: list[list[list[float]]] = Field(
        description="Outline of each HEALPix cell, its corners at least: right ascension and declination, degrees"
    )


def corners(cells: Sequence[Cell]) -> list[list[list[float]]]:
    """Corners of HEALPix cells, and of large ones, whose edges are bent, points between.

    Parameters
    ----------
    cells
        Order and NESTED index of each.

    Returns
    -------
    list
        For each cell four or more positions in degrees, ICRS, in the order given.
    """
    import healpy as hp  # noqa: PLC0415 - takes a second to load, and few verbs need it

    shapes = []
    for order, index in cells:
        vectors = hp.boundaries(1 << order, index, step=max(1, _SMOOTH >> order), nest=True)
        lon, lat = hp.vec2ang(vectors.T, lonlat=True)
        shapes.append([[round(float(ra), 3), round(float(dec), 3)] for ra, dec in zip(lon, np.asarray(lat), strict=True)])
    return shapes


def _fields(row: Mapping[str, Any]) -> dict[str, Any]:
    known = {name: plain(row[name], name) for name in Event.model_fields if name in row and name != "name"}
    return known | {
        "name": row["event_name"],
        "latest_alert_id": row["alert_id"],
        "test": not row["real"],
        "retracted": row["state"] == "retracted",
        "has_map": row["map_path"] is not None,
    }


def summary(row: Mapping[str, Any]) -> Event:
    """An event of a list."""
    return Event.model_validate(_fields(row))


def detail(row: Mapping[str, Any]) -> EventDetail:
    """An event with its revisions and circulars."""
    more = {"revisions": [plain(one) for one in row["revisions"]], "circulars": [plain(one) for one in row["circulars"]]}
    return EventDetail.model_validate(_fields(row) | more)


def router(services: Services) -> APIRouter:
    """Routes of this resource."""
    routes = APIRouter(prefix="/events", tags=["events"], responses=RESPONSES)

    @routes.get("")
    def events(  # noqa: PLR0917 - FastAPI hands them over by name
        request: Request,
        stream: Annotated[str | None, Query(description="One stream", examples=["lvk"])] = None,
        start: Annotated[str | None, Query(description="Happened from this time on: ISO 8601 or MJD, UTC")] = None,
        end: Annotated[str | None, Query(description="Happened before this time: ISO 8601 or MJD, UTC")] = None,
        real: Annotated[bool, Query(description="Leave out tests, mock events, injections and commanded events")] = False,
        state: Annotated[
            Literal["early_warning", "preliminary", "initial", "update", "retracted"] | None, Query(description="In this state")
        ] = None,
        messenger: Annotated[str | None, Query(description="Of this messenger", examples=["GW", "Neutrino", "EM"])] = None,
        name: Annotated[
            str | None, Query(description="The event of this name or alias, in any spelling; an empty list where there is none")
        ] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        cursor: Annotated[str | None, Query(description="From the `next` of the page before")] = None,
    ) -> EventPage:
        """Events, the last to change first."""
        page = stored.list_events(
            services.store,
            limit=limit,
            cursor=cursor,
            real_only=real,
            state=state,
            stream=stream,
            messenger=messenger,
            name=name,
            start=instant(start, "start") if start else None,
            end=instant(end, "end") if end else None,
        )
        return EventPage(items=[summary(row) for row in page.events], next=next_link(request, page.cursor))

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

    @routes.get("/{name:path}/voevent", response_class=Response, responses=_VOEVENT)
    def voevent(name: EventName) -> Response:
        """What is known of the event now as a VOEvent 2.0, as subscribers get it."""
        event = stored.get_event(services.store, name)
        headers = {"Content-Disposition": f'inline; filename="{filename(event["event_name"], "xml")}"'}
        return Response(services.voevent(event), media_type="application/xml", headers=headers)

    @routes.get("/{name:path}/revisions")
    def revisions(name: EventName) -> Revisions:
        """The event's notices, each with what it changed of what was known."""
        found = detail(stored.get_event(services.store, name))
        return Revisions(name=found.name, items=found.revisions)

    @routes.get("/{name:path}")
    def event(name: EventName) -> EventDetail:
        """One event by any of its names, with all its notices and circulars."""
        return detail(stored.get_event(services.store, name))

    return routes
