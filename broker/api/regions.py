"""``regions``: parts of the sky that filters ask for, and their versions."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path as FilePath
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from broker.api.auth import Asks, may_see
from broker.api.hidden import hidden_from
from broker.api.lists import IN_USE, TAKEN, Described, changeable, new, refuse_in_use, refuse_readers, reshared, visible
from broker.api.models import Utc
from broker.api.packets import filename
from broker.api.problems import RESPONSES
from broker.api.services import Services
from broker.api.uploads import TOO_LARGE, Sent, file_body, received
from broker.errors import NotFoundError, UsageError
from broker.science import moc
from broker.science.moc_read import read_moc
from broker.science.skymap import credible_ranges
from broker.store import region_changes as changes
from broker.store import regions as stored
from broker.store.lists import Ownership, Visibility

__all__ = ["router"]

_REMEDY = "send the coverage map with larger cells"
_KIND = "region"
_WHOLE = "it is the whole sky: every alert that has a place lies in it"
_MEDIA = {
    "fits": ("application/fits", "moc.fits"),
    "json": ("application/json", "moc.json"),
    "ascii": ("text/plain; charset=utf-8", "moc.txt"),
}

_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "The coverage map", "content": {media.partition(";")[0]: {} for media, _ in _MEDIA.values()}}
}

Name = Annotated[str, Path(description="The region's", examples=["footprint"])]


class MocFormat(StrEnum):
    """Forms of a coverage map."""

    fits = "fits"
    json = "json"
    ascii = "ascii"


class RegionVersion(BaseModel):
    """What a region was from one change to the next."""

    version: int
    created: Utc = Field(description="UTC")
    who: str | None = None
    healpix_order: int = Field(description="Of its smallest cells")
    fraction: float = Field(description="Of the sky")
    digest: str = Field(description="The same for the same region")


class ShownRegion(Described):
    """A region."""

    name: str = Field(examples=["footprint"])
    event_name: str | None = Field(default=None, description="Event whose newest map it follows")
    level: float | None = Field(default=None, description="Credible level of that map")
    newest: RegionVersion | None = Field(default=None, description="Of its coverage map; null where it follows an event")
    warning: str | None = Field(default=None, description="What is strange about it")


class ShownRegions(BaseModel):
    """Regions, by name."""

    items: list[ShownRegion]


class RegionDetail(ShownRegion):
    """A region with the versions of its coverage map, the newest first."""

    versions: list[RegionVersion]


class RegionChange(BaseModel):
    """What is said of a region; what is null stays as it is."""

    description: str | None = None
    visibility: Visibility | None = None
    team: str | None = Field(default=None, description="Whose members may see and change it too; empty: none")
    owner: str | None = Field(default=None, description="For administrators: whose it is to be")


def router(services: Services) -> APIRouter:
    """Routes of this resource."""
    routes = APIRouter(prefix="/regions", tags=["watchlists"], responses=RESPONSES)
    _reading(routes, services)
    _making(routes, services)
    _changing(routes, services)
    return routes


def _reading(routes: APIRouter, services: Services) -> None:
    @routes.get("")
    def regions(asks: Asks) -> ShownRegions:
        """All regions that one may see."""
        found = stored.listing(services.store)
        return ShownRegions(items=[_shown(one) for one in found if may_see(asks, one.owner, one.team, one.visibility)])

    @routes.get("/{name}")
    def one(name: Name, asks: Asks) -> RegionDetail:
        """A region with its versions."""
        visible(asks, stored.whose(services.store), _KIND, name)
        found = _shown(stored.get(services.store, name))
        versions = [RegionVersion.model_validate(asdict(each)) for each in stored.versions(services.store, name)]
        return RegionDetail(**found.model_dump(), versions=versions)

    @routes.get("/{name}/moc", response_class=Response, responses=_ANSWERS)
    def coverage(
        name: Name,
        asks: Asks,
        version: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="The newest unless given")] = None,
        fmt: Annotated[MocFormat, Query(alias="format", description="What form it is to have")] = MocFormat.fits,
    ) -> Response:
        """A region as a coverage map (MOC); of one that follows an event, as the newest map has it."""
        visible(asks, stored.whose(services.store), _KIND, name)
        found = moc.of_ranges(_ranges(services, stored.get(services.store, name), version))
        media, ending = _MEDIA[fmt]
        body: bytes | str
        match fmt:
            case MocFormat.fits:
                body = moc.to_fits(found)
            case MocFormat.json:
                body = json.dumps(moc.to_json(found))
            case MocFormat.ascii:
                body = moc.to_ascii(found)
        headers = {"Content-Disposition": f'inline; filename="{filename(name, ending)}"', "Cache-Control": "no-cache"}
        return Response(body, media_type=media, headers=headers)


def _making(routes: APIRouter, services: Services) -> None:
    making = Lock()  # or many at once would each be the last that the quotas allow

    @routes.post("", status_code=201, responses=TOO_LARGE | TAKEN, openapi_extra=file_body("application/fits", required=False))
    async def make(  # noqa: PLR0917 - FastAPI hands them over by name
        request: Request,
        asks: Asks,
        name: Annotated[str, Query(description="a-z, 0-9 and _: a column is called by it", examples=["footprint"])],
        event: Annotated[str | None, Query(description="Event whose newest map is followed, instead of a file")] = None,
        level: Annotated[float, Query(gt=0, le=1, description="With `event`: probability inside")] = 0.9,
        description: str = "",
        visibility: Visibility = "public",
        team: Annotated[str | None, Query(description="Whose members may see and change it too")] = None,
        owner: Annotated[str | None, Query(description="For administrators: whose it is to be")] = None,
    ) -> ShownRegion:
        """Make a region of a coverage map (MOC) as FITS, JSON or ASCII, or of the newest map of an event."""

        def allowed() -> dict[str, Any]:
            most = services.auth.quotas.watchlists_per_user
            owned = new(asks, stored.whose(services.store), _KIND, name, Ownership(owner, team, visibility), most)
            refuse_readers(services, f"region {name!r}", [f"moc.{name}"], owned)
            return asdict(owned) | {"description": description, "who": asks.name}

        def take(sent: Sent | None) -> ShownRegion:
            inside = None if sent is None else _read(sent)
            with making:
                more = allowed()  # others may have come while it was sent
                if inside is not None:
                    return _shown(changes.create(services.store, name, inside, **more))
                assert event is not None
                return _shown(changes.follow(services.store, name, event, level, **more))

        if event is not None:
            return await run_in_threadpool(take, None)
        await run_in_threadpool(allowed)
        with TemporaryDirectory(prefix="nuncius-region-") as folder:
            return await run_in_threadpool(take, await received(request, FilePath(folder), services.max_upload, _REMEDY))


def _changing(routes: APIRouter, services: Services) -> None:
    @routes.put("/{name}", responses=TOO_LARGE, openapi_extra=file_body("application/fits"))
    async def replace(request: Request, name: Name, asks: Asks) -> ShownRegion:
        """Put another coverage map in the place of a region's: its next version."""

        def take(sent: Sent) -> ShownRegion:
            return _shown(changes.replace(services.store, name, _read(sent), who=asks.name))

        await run_in_threadpool(lambda: changeable(asks, stored.whose(services.store), _KIND, name))
        with TemporaryDirectory(prefix="nuncius-region-") as folder:
            return await run_in_threadpool(take, await received(request, FilePath(folder), services.max_upload, _REMEDY))

    @routes.patch("/{name}")
    def change(name: Name, asked: RegionChange, asks: Asks) -> ShownRegion:
        """Change what is said of a region."""
        changeable(asks, known := stored.whose(services.store), _KIND, name)
        owned = reshared(asks, known[name], asked.owner, asked.team, asked.visibility)
        if asked.visibility is not None or asked.team is not None:
            refuse_readers(services, f"region {name!r}", [f"moc.{name}"], owned)
        return _shown(changes.change(services.store, name, **asked.model_dump()))

    @routes.delete("/{name}", status_code=204, responses=IN_USE)
    def remove(
        name: Name, asks: Asks, *, force: Annotated[bool, Query(description="Even if live filters ask for it")] = False
    ) -> Response:
        """Take a region away with all its versions; refused while live filters ask for it."""
        changeable(asks, stored.whose(services.store), _KIND, name)
        if not force:
            refuse_in_use(services.filters(), f"region {name!r}", [f"moc.{name}"], hidden_from(services, asks).filters)
        changes.remove(services.store, name)
        return Response(status_code=204)


def _ranges(services: Services, region: stored.Region, version: int | None) -> npt.NDArray[np.int64]:
    if version is not None or region.newest is not None:
        newest = region.newest.version if region.newest is not None else 0
        return stored.ranges(services.store, region.name, newest if version is None else version)
    assert region.event_name is not None
    assert region.level is not None
    path = stored.map_of(services.store, region.event_name)
    if path is None:
        raise NotFoundError(f"region {region.name!r} follows event {region.event_name!r}, which has no map now")
    return credible_ranges(services.skymap(path), region.level)


def _read(sent: Sent) -> npt.NDArray[np.int64]:
    try:
        return read_moc(sent.file.read_bytes())
    except UsageError as error:
        raise UsageError(f"{sent.name}: {error}") from error


def _shown(found: stored.Region) -> ShownRegion:
    whole = found.newest is not None and found.newest.fraction == 1.0
    return ShownRegion.model_validate(asdict(found) | {"warning": _WHOLE if whole else None})
