"""``watchlists``: lists of targets that filters ask for, their versions, and single targets."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path as FilePath
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Annotated, Any

import polars as pl
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from broker.api import cursor as tokens
from broker.api.auth import Asks, may_see
from broker.api.hidden import hidden_from
from broker.api.lists import IN_USE, TAKEN, Described, changeable, new, refuse_in_use, refuse_readers, reshared, visible
from broker.api.models import Utc
from broker.api.problems import RESPONSES
from broker.api.render.table import TABLES, Format, render, wanted_format
from broker.api.services import Services
from broker.api.uploads import TOO_LARGE, Sent, file_body, received
from broker.errors import UsageError
from broker.store import watchlist_changes as changes
from broker.store import watchlists as stored
from broker.store.lists import Ownership, Visibility
from broker.store.target_tables import LARGEST_RADIUS, TargetTable, read_targets

__all__ = ["router", "written"]

_BODY = file_body("text/csv", "application/x-votable+xml", "application/fits", "application/vnd.apache.parquet")
_REMEDY = "larger tables are catalogues"
_KIND, _PREFIX, _KINDS = "watchlist", "watchlist.", ("sep", "id", "inside")

Name = Annotated[str, Path(description="The list's", examples=["supernovae"])]
Ident = Annotated[str, Path(description="The target's", examples=["SN2023ixf"])]
Radius = Annotated[
    float | None,
    Query(gt=0, le=LARGEST_RADIUS, allow_inf_nan=False, description="Arcseconds around targets without a radius of their own"),
]


class ListVersion(BaseModel):
    """What a watchlist was from one change to the next."""

    version: int
    created: Utc = Field(description="UTC")
    who: str | None = None
    change: str = Field(description="What it changed of the version before", examples=["target SN2023ixf put"])
    targets: int = Field(description="How many there are")
    radius: float = Field(description="Arcseconds around targets without a radius of their own")
    digest: str = Field(description="The same for the same targets")


class ShownList(Described):
    """A watchlist, as its newest version is."""

    name: str = Field(examples=["supernovae"])
    newest: ListVersion


class ShownLists(BaseModel):
    """Watchlists, by name."""

    items: list[ShownList]


class ListDetail(ShownList):
    """A watchlist with its versions, the newest first."""

    versions: list[ListVersion]


class ListTaken(ShownList):
    """A watchlist that has just been sent."""

    ignored: list[str] = Field(description="Columns of the table that are not kept")
    repeated: int = Field(description="Rows whose id an earlier row has, too: they are kept, and change and go together")


class Target(BaseModel):
    """A target."""

    id: str
    ra: float = Field(description="Degrees, ICRS")
    dec: float = Field(description="Degrees, ICRS")
    radius_arcsec: float | None = Field(description="Arcseconds; null for the list's own")


class Targets(BaseModel):
    """Targets of a version."""

    version: int
    items: list[Target]
    next: str | None = Field(default=None, description="Address of the next page; null at the end")


class Place(BaseModel):
    """Where a target is."""

    ra: float = Field(ge=0, le=360, allow_inf_nan=False, description="Degrees, ICRS", examples=[210.9107])
    dec: float = Field(ge=-90, le=90, allow_inf_nan=False, description="Degrees, ICRS", examples=[54.3117])
    radius: float | None = Field(
        default=None, gt=0, le=LARGEST_RADIUS, allow_inf_nan=False, description="Arcseconds; the list's own unless given"
    )


class ListChange(BaseModel):
    """What is said of a list; what is null stays as it is."""

    radius: float | None = Field(default=None, gt=0, le=LARGEST_RADIUS, allow_inf_nan=False, description="Arcseconds")
    description: str | None = None
    visibility: Visibility | None = None
    team: str | None = Field(default=None, description="Whose members may see and change it too; empty: none")
    owner: str | None = Field(default=None, description="For administrators: whose it is to be")


def written(frame: pl.DataFrame) -> pl.DataFrame:
    """Targets as tables are written, with the unit in the name of the column that needs it."""
    return frame.rename({"radius": "radius_arcsec"})


def router(services: Services) -> APIRouter:
    """Routes of this resource."""
    routes = APIRouter(prefix="/watchlists", tags=["watchlists"], responses=RESPONSES)
    _reading(routes, services)
    _targets(routes, services)
    _making(routes, services)
    _changing(routes, services)
    _changing_targets(routes, services)
    return routes


def _reading(routes: APIRouter, services: Services) -> None:
    @routes.get("")
    def watchlists(asks: Asks) -> ShownLists:
        """All watchlists that one may see."""
        found = stored.listing(services.store)
        return ShownLists(items=[_shown(one) for one in found if may_see(asks, one.owner, one.team, one.visibility)])

    @routes.get("/{name}")
    def one(name: Name, asks: Asks) -> ListDetail:
        """A watchlist with its versions."""
        visible(asks, stored.whose(services.store), _KIND, name)
        found = _shown(stored.get(services.store, name))
        versions = [ListVersion.model_validate(asdict(each)) for each in stored.versions(services.store, name)]
        return ListDetail(**found.model_dump(), versions=versions)


def _targets(routes: APIRouter, services: Services) -> None:
    @routes.get("/{name}/targets", response_model=Targets, responses={200: {"content": TABLES}})
    def targets(  # noqa: PLR0917 - FastAPI hands them over by name
        request: Request,
        name: Name,
        asks: Asks,
        version: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="The newest unless given")] = None,
        limit: Annotated[int, Query(ge=1, le=10_000, description="Targets a page of JSON; other formats have all")] = 1_000,
        cursor: Annotated[str | None, Query(description="From the `next` of the page before")] = None,
        fmt: Annotated[Format | None, Query(alias="format", description="Shape of the answer")] = None,
    ) -> Any:
        """Targets of a watchlist."""
        visible(asks, stored.whose(services.store), _KIND, name)
        wanted = wanted_format(request, fmt)
        begin = 0
        if cursor is not None:
            version, begin = _place(tokens.decode(cursor, "cursor"))
        found, frame = stored.targets(services.store, name, version)
        if wanted is not Format.json:
            described = f"Watchlist {name}, version {found.version}"
            return render(written(frame), wanted, name=name, description=described)
        page = written(frame[begin : begin + limit])
        token = tokens.encode([found.version, begin + limit]) if begin + limit < frame.height else None
        return Targets(
            version=found.version,
            items=[Target.model_validate(row) for row in page.to_dicts()],
            next=tokens.next_link(request, token),
        )


def _making(routes: APIRouter, services: Services) -> None:
    making = Lock()  # or many at once would each be the last that the quotas allow

    @routes.post("", status_code=201, responses=TOO_LARGE | TAKEN, openapi_extra=_BODY)
    async def make(  # noqa: PLR0917 - FastAPI hands them over by name
        request: Request,
        asks: Asks,
        name: Annotated[str, Query(description="a-z, 0-9 and _: columns are called by it", examples=["supernovae"])],
        radius: Radius = None,
        description: str = "",
        visibility: Visibility = "public",
        team: Annotated[str | None, Query(description="Whose members may see and change it too")] = None,
        owner: Annotated[str | None, Query(description="For administrators: whose it is to be")] = None,
    ) -> ListTaken:
        """Make a watchlist of a table: CSV, VOTable, FITS or Parquet with columns such as `ra`, `dec`, `id`, `radius`."""

        def allowed() -> Ownership:
            most = services.auth.quotas.watchlists_per_user
            owned = new(asks, stored.whose(services.store), _KIND, name, Ownership(owner, team, visibility), most)
            refuse_readers(services, f"watchlist {name!r}", _columns(name), owned)
            return owned

        def take(sent: Sent) -> ListTaken:
            table = _read(sent)
            with making:
                owned = allowed()  # others may have come while it was sent
                made = changes.create(
                    services.store,
                    name,
                    table.frame,
                    radius=changes.RADIUS if radius is None else radius,
                    description=description,
                    visibility=owned.visibility,
                    owner=owned.owner,
                    team=owned.team,
                    who=asks.name,
                )
            return _taken(made, table)

        await run_in_threadpool(allowed)
        with TemporaryDirectory(prefix="nuncius-list-") as folder:
            return await run_in_threadpool(take, await received(request, FilePath(folder), services.max_upload, _REMEDY))


def _changing(routes: APIRouter, services: Services) -> None:
    @routes.put("/{name}", responses=TOO_LARGE, openapi_extra=_BODY)
    async def replace(request: Request, name: Name, asks: Asks, radius: Radius = None) -> ListTaken:
        """Put a table's targets in the place of all those of a watchlist: its next version."""

        def take(sent: Sent) -> ListTaken:
            table = _read(sent)
            made = changes.replace(services.store, name, table.frame, radius=radius, who=asks.name)
            return _taken(made, table)

        await run_in_threadpool(lambda: changeable(asks, stored.whose(services.store), _KIND, name))
        with TemporaryDirectory(prefix="nuncius-list-") as folder:
            return await run_in_threadpool(take, await received(request, FilePath(folder), services.max_upload, _REMEDY))

    @routes.patch("/{name}")
    def change(name: Name, asked: ListChange, asks: Asks) -> ShownList:
        """Change what is said of a watchlist; another radius makes a version."""
        changeable(asks, known := stored.whose(services.store), _KIND, name)
        owned = reshared(asks, known[name], asked.owner, asked.team, asked.visibility)
        if asked.visibility is not None or asked.team is not None:
            refuse_readers(services, f"watchlist {name!r}", _columns(name), owned)
        return _shown(changes.change(services.store, name, **asked.model_dump(), who=asks.name))

    @routes.delete("/{name}", status_code=204, responses=IN_USE)
    def remove(
        name: Name, asks: Asks, *, force: Annotated[bool, Query(description="Even if live filters ask for it")] = False
    ) -> Response:
        """Take a watchlist away with all its versions; refused while live filters ask for it."""
        changeable(asks, stored.whose(services.store), _KIND, name)
        if not force:
            refuse_in_use(services.filters(), f"watchlist {name!r}", _columns(name), hidden_from(services, asks).filters)
        changes.remove(services.store, name)
        return Response(status_code=204)


def _changing_targets(routes: APIRouter, services: Services) -> None:
    @routes.put("/{name}/targets/{ident:path}")
    def put_target(name: Name, ident: Ident, at: Place, asks: Asks) -> ShownList:
        """Put a target into a watchlist, in the place of those of its id: its next version."""
        changeable(asks, stored.whose(services.store), _KIND, name)
        made = changes.put_target(services.store, name, ident, ra=at.ra, dec=at.dec, radius=at.radius, who=asks.name)
        return _shown(made)

    @routes.delete("/{name}/targets/{ident:path}")
    def remove_target(name: Name, ident: Ident, asks: Asks) -> ShownList:
        """Take a target out of a watchlist: its next version."""
        changeable(asks, stored.whose(services.store), _KIND, name)
        return _shown(changes.remove_target(services.store, name, ident, who=asks.name))


def _columns(name: str) -> list[str]:
    return [f"{_PREFIX}{name}.{kind}" for kind in _KINDS]


def _read(sent: Sent) -> TargetTable:
    return read_targets(sent.file.read_bytes(), sent.name)


def _taken(made: stored.Watchlist, table: TargetTable) -> ListTaken:
    return ListTaken(**_shown(made).model_dump(), ignored=list(table.ignored), repeated=table.repeated)


def _shown(found: stored.Watchlist) -> ShownList:
    return ShownList.model_validate(asdict(found))


def _place(token: Any) -> tuple[int, int]:
    match token:
        case [int(version), int(begin)] if version > 0 and begin >= 0:
            return version, begin
        case _:
            raise UsageError("cursor is not one of ours: leave it out to start anew")
