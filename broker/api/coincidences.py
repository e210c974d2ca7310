"""``coincidences`` and ``events/{name}/coincidences``: events of different messengers that came close."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from broker.api.models import Utc
from broker.api.params import instant
from broker.api.problems import RESPONSES
from broker.api.services import Services
from broker.store import coincidences as stored
from broker.store.events import canonical_name

__all__ = ["router"]


class Coincidence(BaseModel):
    """Two events close in time, as their latest revisions have it."""

    id: str = Field(examples=["S260801ab+GRB 260801A"])
    first_event: str = Field(description="The gravitational wave, where there is one")
    second_event: str
    first_revision: int
    second_revision: int
    first_messenger: str | None = None
    second_messenger: str | None = None
    second_mission: str | None = None
    kind: str = Field(examples=["GRB_CBC"])
    state: str = Field(description="live, or retracted")
    reason: str | None = Field(default=None, description="Why there is no rate on the sky, or why the pair is retracted")
    real: bool
    time: Utc = Field(description="Of the first, UTC")
    dt: float = Field(description="Seconds, second minus first")
    far_temporal: float | None = Field(default=None, description="Rate at which chance does it in time, Hz")
    far_space_time: float | None = Field(default=None, description="The same in time and on the sky, Hz")
    overlap: float | None = Field(default=None, description="Overlap integral of both maps; 1 where one says nothing")
    publishable: bool = Field(description="Significant, once the searches that could have found it are counted")
    ra: float | None = Field(default=None, description="Where the combined map is densest, degrees, ICRS")
    dec: float | None = None
    area50: float | None = Field(default=None, description="Of the combined map, square degrees")
    area90: float | None = Field(default=None, description="Square degrees")
    distmean: float | None = Field(default=None, description="Mpc")
    diststd: float | None = Field(default=None, description="Mpc")
    updated: Utc


class Coincidences(BaseModel):
    """Coincidences, the latest first."""

    items: list[Coincidence]


def router(services: Services) -> APIRouter:
    """Routes of this resource."""
    routes = APIRouter(tags=["events"], responses=RESPONSES)

    @routes.get("/coincidences")
    def coincidences(
        start: Annotated[str | None, Query(description="First event from this time on: ISO 8601 or MJD, UTC")] = None,
        end: Annotated[str | None, Query(description="First event before this time: ISO 8601 or MJD, UTC")] = None,
        tests: Annotated[bool, Query(description="Those of tests and mock events as well")] = False,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> Coincidences:
        """Events of different messengers that came close in time, the latest first."""
        found = stored.recent(
            services.store,
            start=instant(start, "start") if start else None,
            end=instant(end, "end") if end else None,
            real_only=not tests,
            limit=limit,
        )
        return Coincidences(items=[_model(row) for row in found])

    @routes.get("/events/{name:path}/coincidences")
    def of_event(
        name: Annotated[str, Path(description="Any name of the event, percent-encoded", examples=["S240422ed"])],
    ) -> Coincidences:
        """What an event coincides with."""
        canonical = canonical_name(services.store, name)
        return Coincidences(items=[_model(row) for row in stored.of_event(services.store, canonical)])

    return routes


def _model(row: Mapping[str, Any]) -> Coincidence:
    return Coincidence.model_validate({name: row[name] for name in Coincidence.model_fields})
