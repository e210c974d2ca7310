"""``catalogs``: those that alerts are matched against and hosts are looked for in."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, Field

from broker.api.problems import RESPONSES
from broker.api.services import Services

__all__ = ["router"]


class CatalogShown(BaseModel):
    """A catalogue."""

    name: str = Field(description="Prefix of the columns it adds to alerts", examples=["glade"])
    rows: int = Field(description="How many sources it has")
    columns: list[str] = Field(description="What it says of each, besides position and name")
    ranks: bool = Field(
        description="Whether it has distances, so that `events/{name}/galaxies` can rank its galaxies in volume"
    )
    source: str | None = None
    version: str | None = None
    match: str | None = Field(default=None, description="How near an alert has to be")
    licence: str | None = None
    citation: str | None = None


class CatalogList(BaseModel):
    """Catalogues, by name."""

    items: list[CatalogShown]


def router(services: Services) -> APIRouter:
    """Routes of this resource."""
    routes = APIRouter(tags=["service"], responses=RESPONSES)

    @routes.get("/catalogs")
    def catalogs() -> CatalogList:
        """Catalogues that are built: see `nuncius catalog`."""
        told = ("source", "version", "match", "licence", "citation")
        return CatalogList(
            items=[
                CatalogShown(
                    name=one.name,
                    rows=one.rows,
                    columns=list(one.columns),
                    ranks=one.ranks,
                    **{name: one.meta.get(name) for name in told},
                )
                for one in services.catalogs()
            ]
        )

    return routes
