"""``coincidences`` and ``events/{name}/coincidences``: events of different messengers that are near in time."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field

from broker.api.cursor import next_link
from broker.api.models import Utc
from broker.api.params import instant
from broker.api.problems import RESPONSES
from broker.api.services import Services
from broker.store import coincidences as stored
from broker.store.events import canonical_name

__all__ = ["Coincidence", "router", "shown"]


class State(StrEnum):
    """States of a coincidence."""

    live = "live"
    disjoint = "disjoint"
    retracted = "retracted"


class Member(BaseModel):
    """One of the two events, as it was when this was found."""

    event_name: str = Field(examples=["S240422ed"])
    name: str = Field(description="What it is called: another name where it is a follow-up kept with the event it followed")
    revision: int
    kind: str = Field(description="`gw`, `grb`, `subthreshold`, `targeted`, `frb`, `neutrino`, `supernova`")
    messenger: str
    mission: str | None = None
    time: Utc
    far: float | None = Field(default=None, description="Hz")


class Coincidence(BaseModel):
    """Two events of different messengers that are near in time, and how often chance does that."""

    id: str = Field(examples=["S240422ed+GRB_240422A"])
    revision: int = Field(description="From 1")
    state: State = Field(description="`disjoint`: the sky maps do not overlap; `retracted`: an event is, or is no longer near")
    message: str | None = Field(default=None, description="Why it is disjoint or retracted, or why there is no rate")
    real: bool = Field(description="False where both events are tests")
    publishable: bool = Field(description="Whether RAVEN's test with trials factors is passed")
    event: Member = Field(description="The gravitational-wave event, or the neutrino where there is none")
    external: Member
    classification: str | None = None
    dt: float = Field(description="Seconds, external minus event")
    window: str = Field(description="Name of the window, as in the settings")
    window_from: float
    window_to: float
    far_temporal: float | None = Field(default=None, description="Rate of chance coincidences in time, Hz")
    far_space_time: float | None = Field(default=None, description="The same over the overlap of the sky maps, Hz")
    overlap: float | None = Field(default=None, description="Overlap integral; 1 where a map says nothing")
    ra: float | None = Field(default=None, description="Degrees, ICRS: where the combined map is densest")
    dec: float | None = None
    area50: float | None = Field(default=None, description="Square degrees of the combined map")
    area90: float | None = None
    distmean: float | None = Field(default=None, description="Mpc")
    diststd: float | None = None
    computed: Utc = Field(description="When it was found")


class CoincidenceDetail(Coincidence):
    """A coincidence with all its revisions."""

    revisions: list[Coincidence] = Field(description="The first one first")


class CoincidencePage(BaseModel):
    """Coincidences, that of the latest event first."""

    items: list[Coincidence]
    next: str | None = Field(default=None, description="Address of the next page; null at the end")


class EventCoincidences(BaseModel):
    """Coincidences of an event, the least likely by chance first."""

    event: str = Field(description="The name the event goes by")
    items: list[Coincidence]


def shown(row: Mapping[str, Any]) -> Coincidence:
    """A row as `broker.store.coincidences` has it."""
    return Coincidence.model_validate(_fields(row))


def _fields(row: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("revision", "kind", "messenger", "mission", "time", "far")
    members = {
        name: {"event_name": row[name], "name": called} | {field: row[f"{name}_{field}"] for field in kept}
        for name, called in (("event", row["event"]), ("external", row["external_name"]))
    }
    return {name: row[name] for name in Coincidence.model_fields if name not in members} | members


def router(services: Services) -> APIRouter:
    """Routes of this resource. Those of `broker.api.events` must stand behind them."""
    routes = APIRouter(tags=["coincidences"], responses=RESPONSES)

    @routes.get("/coincidences")
    def coincidences(  # noqa: PLR0917 - FastAPI hands them over by name
        request: Request,
        event: Annotated[str | None, Query(description="Of this event, by any of its names", examples=["S240422ed"])] = None,
        state: Annotated[State | None, Query(description="Only those in this state")] = None,
        start: Annotated[str | None, Query(description="Happened from this time on: ISO 8601 or MJD, UTC")] = None,
        end: Annotated[str | None, Query(description="Happened before this time: ISO 8601 or MJD, UTC")] = None,
        real: Annotated[bool, Query(description="Leave out those of tests")] = False,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        cursor: Annotated[str | None, Query(description="From the `next` of the page before")] = None,
    ) -> CoincidencePage:
        """Coincidences as they are now, that of the latest event first."""
        page = stored.list_coincidences(
            services.store,
            limit=limit,
            cursor=cursor,
            event=canonical_name(services.store, event) if event else None,
            state=state,
            real_only=real,
            start=instant(start, "start") if start else None,
            end=instant(end, "end") if end else None,
        )
        return CoincidencePage(items=[shown(row) for row in page.coincidences], next=next_link(request, page.cursor))

    @routes.get("/coincidences/{coincidence:path}")
    def coincidence(
        coincidence: Annotated[str, Path(description="Its id, percent-encoded", examples=["S240422ed+GRB_240422A"])],
    ) -> CoincidenceDetail:
        """One coincidence, with all its revisions."""
        row = stored.get_coincidence(services.store, coincidence)
        revisions = [shown(each) for each in row["revisions"]]
        return CoincidenceDetail.model_validate(_fields(row) | {"revisions": revisions})

    @routes.get("/events/{name:path}/coincidences")
    def of_event(
        name: Annotated[str, Path(description="Event name or any alias, percent-encoded", examples=["S240422ed"])],
    ) -> EventCoincidences:
        """Coincidences of an event, the least likely by chance first, retracted ones last."""
        event = canonical_name(services.store, name)
        return EventCoincidences(event=event, items=[shown(row) for row in stored.of_event(services.store, event)])

    return routes
