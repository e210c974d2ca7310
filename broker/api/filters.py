"""``filters`` and ``filters/{name}``: what is looked for."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from broker.api.auth import Asks
from broker.api.hidden import hidden_from
from broker.api.problems import RESPONSES
from broker.api.services import Services
from broker.errors import NotFoundError
from broker.filtering.definition import FilterSpec
from broker.store import matches as stored
from broker.topics import matched

__all__ = ["router"]


class Filter(BaseModel):
    """A filter, live."""

    model_config = ConfigDict(from_attributes=True)

    name: str = Field(examples=["ztf_bright_transients"])
    version: str = Field(examples=["1"])
    streams: list[str] = Field(description="Names or globs of those it sees", examples=[["ztf", "lsst"]])
    description: str
    where: str = Field(description="Its condition", examples=["mag < 18"])
    select: dict[str, str] = Field(
        description="What its matches carry besides the common columns: expression by name; none means all"
    )
    active: bool = Field(description="Whether it runs")
    topic: str = Field(description="Kafka topic of its matches", examples=["matched.ztf_bright_transients"])
    matches: int = Field(description="Alerts picked so far")


class FilterList(BaseModel):
    """All live filters, by name."""

    items: list[Filter]


def router(services: Services) -> APIRouter:
    """Routes of this resource."""
    routes = APIRouter(prefix="/filters", tags=["filters"], responses=RESPONSES)

    @routes.get("")
    def filters(asks: Asks) -> FilterList:
        """All live filters, with how much each has picked."""
        counts = stored.counts(services.store)
        hidden = hidden_from(services, asks).filters
        seen = sorted((spec for spec in services.filters() if spec.name not in hidden), key=lambda spec: spec.name)
        return FilterList(items=[_shown(spec, counts.get(spec.name, 0)) for spec in seen])

    @routes.get("/{name}")
    def one(name: Annotated[str, Path(examples=["ztf_bright_transients"])], asks: Asks) -> Filter:
        """One filter."""
        hidden = hidden_from(services, asks).filters
        for spec in services.filters():
            if spec.name == name and name not in hidden:
                return _shown(spec, stored.counts(services.store).get(name, 0))
        message = f"no filter {name!r}: /api/v1/filters lists them"
        raise NotFoundError(message)

    return routes


def _shown(spec: FilterSpec, count: int) -> Filter:
    return Filter(
        name=spec.name,
        version=str(spec.version),
        streams=list(spec.streams),
        description=spec.description,
        where=spec.where,
        select={one.name: one.sql for one in spec.select},
        active=spec.active,
        topic=matched(spec.name),
        matches=count,
    )
