"""``events/{name}/galaxies``: galaxies ranked as hosts of an event."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from broker.api.problems import RESPONSES
from broker.api.render.table import TABLES, Format, jsonable, render, wanted_format
from broker.api.services import Galaxies, GalaxyQuery, Services, Weight

__all__ = ["as_document", "router"]

_LIMIT = 10_000


class Galaxy(BaseModel):
    """A galaxy; whatever more its catalogue says of it is there under the catalogue's names."""

    model_config = ConfigDict(extra="allow")

    rank: int
    id: str | None = None
    name: str | None = None
    ra: float = Field(description="Degrees, ICRS")
    dec: float
    ranking: str = Field(description="`3D`: by the volume; `2D`: by the sky alone, for want of a distance of map or galaxy")
    probability: float | None = Field(
        default=None, description="To be the host, if the host is among the galaxies ranked; null for 2D behind 3D"
    )
    dist: float | None = Field(default=None, description="Luminosity distance, Mpc")
    luminosity: float | None = Field(default=None, description="Solar luminosities")
    credible_level: float | None = Field(default=None, description="Smallest credible region of the sky that holds it")
    density: float | None = Field(default=None, description="Probability per steradian")
    volume_level: float | None = Field(default=None, description="Smallest credible volume that holds it")
    volume_density: float | None = Field(default=None, description="Probability per Mpc³")


class Hosts(BaseModel):
    """Galaxies, the likeliest first."""

    event: str | None = None
    revision: int | None = Field(default=None, description="Of the notice that brought the map")
    catalog: str = Field(examples=["glade"])
    source: str | None = None
    weight: str
    level: float = Field(description="Of the part of the sky looked at")
    galaxies: int = Field(description="How many are ranked")
    ranked_2d: int = Field(description="How many of these by the sky alone, as the map or they have no distance")
    completeness: float | None = Field(
        default=None,
        description="Part of the galaxies' light that the catalogue has at the distances of the map, mean over the sky",
    )
    luminosity_ratio: float | None = Field(
        default=None,
        description="Light that the catalogue has in the map's volume over the light expected; above 1 in clusters",
    )
    items: list[Galaxy]


def as_document(found: Galaxies) -> dict[str, Any]:
    """Galaxies and what is said of them as one JSON object."""
    return {**found.facts, "items": jsonable(found.frame)}


def router(services: Services) -> APIRouter:
    """Routes of this resource."""
    routes = APIRouter(prefix="/events", tags=["events"], responses=RESPONSES)

    @routes.get("/{name:path}/galaxies", response_model=Hosts, responses={200: {"content": TABLES}})
    def galaxies(  # noqa: PLR0917 - FastAPI hands them over by name
        request: Request,
        name: Annotated[str, Path(description="Event name, percent-encoded", examples=["S240422ed"])],
        limit: Annotated[int, Query(ge=1, le=_LIMIT, description="Galaxies at most")] = 50,
        level: Annotated[float, Query(gt=0, lt=1, description="Look in the region of the sky that holds this much")] = 0.99,
        weight: Annotated[
            Weight | None, Query(description="Weigh galaxies by their luminosity; unless given, where the map has distances")
        ] = None,
        catalog: Annotated[str, Query(description="Catalogue of galaxies", pattern="^[a-z][a-z0-9_]{0,31}$")] = "glade",
        fmt: Annotated[Format | None, Query(alias="format", description="Shape of the answer")] = None,
    ) -> Response | dict[str, Any]:
        """Galaxies of a catalogue ranked by their probability to host the event, by its latest sky map."""
        wanted = wanted_format(request, fmt)
        found = services.galaxies(name, GalaxyQuery(limit, level, weight, catalog))
        if wanted is Format.json:
            return as_document(found)
        headers = {
            f"Nuncius-{key.replace('_', '-').title()}": f"{found.facts[key]:.6g}"
            for key in ("completeness", "luminosity_ratio")
            if found.facts.get(key) is not None
        }
        described = f"Galaxies of {found.facts['catalog']} ranked as hosts of {name}, weight {found.facts['weight']}"
        return render(found.frame, wanted, name="galaxies", description=described, headers=headers)

    return routes
