"""``filters``: what is looked for, in versions; written, tried, put in force and retired here."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from threading import Lock
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from broker.api.auth import Asks, Principal, changed_by, may_see, may_share, seen_by, within
from broker.api.hidden import hidden_from
from broker.api.problems import RESPONSES
from broker.api.services import Services
from broker.errors import NotFoundError, UsageError
from broker.filtering.definition import FilterSpec, parse_filter
from broker.filtering.versions import MOST_TEXT, name_of
from broker.store import filter_life, filters
from broker.store import matches as stored
from broker.store.filters import FilterVersion, State
from broker.store.lists import Ownership
from broker.topics import matched

__all__ = ["router"]

Name = Annotated[str, Path(examples=["ztf_bright_transients"])]
Number = Annotated[int, Path(ge=1, lt=2**31, examples=[1])]


class Filter(BaseModel):
    """A version of a filter."""

    name: str = Field(examples=["ztf_bright_transients"])
    version: str = Field(examples=["1"])
    state: State = Field(description="At most one version of a name is live")
    streams: list[str] = Field(description="Names or globs of those it sees", examples=[["ztf", "lsst"]])
    description: str
    where: str = Field(description="Its condition", examples=["mag < 18"])
    select: dict[str, str] = Field(
        description="What its matches carry besides the common columns: expression by name; none means all"
    )
    active: bool = Field(description="Whether it runs")
    topic: str = Field(description="Kafka topic of its matches", examples=["matched.ztf_bright_transients"])
    matches: int = Field(description="Alerts picked so far, by all versions")
    author: str = Field(description="Who wrote this version: an account, 'local', or 'file' for the folder of filters")
    owner: str | None = Field(description="Whose the filter is; null: everybody's")
    team: str | None
    visibility: str = Field(description="private, team or public")
    created: datetime


class FilterText(Filter):
    """A version with its text."""

    text: str = Field(description="The filter as TOML")


class FilterList(BaseModel):
    """Filters, by name."""

    items: list[Filter]


class Change(BaseModel):
    """A version came into a state, by whom and when."""

    model_config = ConfigDict(from_attributes=True)

    version: int
    state: State
    who: str
    note: str | None
    at: datetime


class Versions(BaseModel):
    """The life of a filter: its versions, oldest first, and everything that was done to them, in order."""

    items: list[FilterText]
    history: list[Change]


class Draft(BaseModel):
    """A filter to be kept."""

    text: str = Field(
        max_length=MOST_TEXT,
        description="The filter as TOML; its version is counted on where it is left out or taken",
        examples=['name = "mine"\nstream = "ztf"\ndescription = "Bright ones"\nwhere = "mag < 18"\n'],
    )


class Sharing(BaseModel):
    """Who may see a filter and what it finds."""

    visibility: Literal["private", "team", "public"] = "public"
    team: str | None = Field(default=None, description="Whose members may see and change it too")


class NewDraft(Draft, Sharing):
    """A new filter."""


class Edit(Draft):
    """A new version of a filter."""

    base: int = Field(ge=0, lt=2**31, description="Version that was edited: refused where another came after it")


class Move(BaseModel):
    """Where a version is to go."""

    state: Literal["tested", "live", "retired"]
    force: bool = Field(default=False, description="Even where it would pass more than the settings allow")


def router(services: Services) -> APIRouter:
    """Routes of this resource."""
    routes = APIRouter(prefix="/filters", tags=["filters"], responses=RESPONSES)
    making = Lock()  # or many at once would each be the last that the quotas allow, or one take the other's name

    @routes.get("")
    def every(
        asks: Asks,
        state: Annotated[Literal["live", "draft", "tested", "retired", "all"], Query(description="Of versions")] = "live",
    ) -> FilterList:
        """Filters, with how much each has picked: the live version of each, or all versions in a state."""
        counts = stored.counts(services.store)
        found = filters.every(services.store, state=None if state == "all" else state)
        seen = [one for one in found if may_see(asks, one.owner, one.team, one.visibility)]
        return FilterList(items=[_shown(one, counts.get(one.name, 0)) for one in seen])

    @routes.post("", status_code=201, responses={409: RESPONSES[400]})
    def add(draft: NewDraft, asks: Asks) -> FilterText:
        """Keep a filter as a draft; where accounts are required it is its author's."""
        named, _ = name_of(draft.text)
        _reads(services, asks, draft.text)
        with making:
            known = filters.whose(services.store)
            if named in known:
                changed_by(asks, known[named], f"filter {named!r}")
            else:
                within(asks, services.auth.quotas.filters_per_user, _owned(known, asks), "filters")
                may_share(asks, draft.team, draft.visibility)
            owned = Ownership(asks.user, draft.team, draft.visibility)
            kept = filter_life.add(services.store, draft.text, asks.name, owned=owned)
        return _whole(kept, services)

    @routes.get("/{name}")
    def one(name: Name, asks: Asks) -> FilterText:
        """A filter: its live version, else its newest."""
        return _whole(_seen(services, asks, name), services)

    @routes.put("/{name}", status_code=201, responses={409: RESPONSES[400]})
    def edit(name: Name, draft: Edit, asks: Asks) -> FilterText:
        """Keep a new version of a filter as a draft."""
        if name in (known := filters.whose(services.store)):
            changed_by(asks, known[name], f"filter {name!r}")
        else:
            within(asks, services.auth.quotas.filters_per_user, _owned(known, asks), "filters")
        _reads(services, asks, draft.text)
        owned = Ownership(asks.user)
        kept = filter_life.add(services.store, draft.text, asks.name, base=draft.base, name=name, owned=owned)
        return _whole(kept, services)

    @routes.patch("/{name}")
    def share(name: Name, to: Sharing, asks: Asks) -> FilterText:
        """Say who may see a filter, and with which team it is shared."""
        changed_by(asks, found := _seen(services, asks, name), f"filter {name!r}")
        may_share(asks, to.team, to.visibility)
        filters.share(services.store, name, Ownership(found.owner, to.team, to.visibility))
        return _whole(filters.get(services.store, name), services)

    _versions(routes, services)
    return routes


def _versions(routes: APIRouter, services: Services) -> None:
    @routes.get("/{name}/versions")
    def versions(name: Name, asks: Asks) -> Versions:
        """All versions of a filter, and who did what to them."""
        _seen(services, asks, name)
        found = filters.versions(services.store, name)
        history = [Change.model_validate(each) for each in filters.history(services.store, name)]
        return Versions(items=[_whole(each, services) for each in found], history=history)

    @routes.get("/{name}/versions/{version}")
    def version(name: Name, version: Number, asks: Asks) -> FilterText:
        """One version of a filter."""
        return _whole(_seen(services, asks, name, version), services)

    @routes.post("/{name}/versions/{version}/state", responses={409: RESPONSES[400]})
    def move(name: Name, version: Number, to: Move, asks: Asks) -> FilterText:
        """Try a version, put it in force (it is tried first), or retire it."""
        _changed(services, asks, name)
        found = filters.get(services.store, name, version)
        if to.state != "retired":
            _reads(services, asks, found.text)
        store, who = services.store, asks.name
        match to.state:
            case "tested":
                moved = filter_life.examine(store, name, version, who, services.gate, force=to.force)
            case "live":
                moved = filter_life.go_live(store, name, version, who, services.gate, force=to.force)
            case "retired":
                moved = filter_life.retire(store, name, version, who)
        return _whole(moved, services)


def _seen(services: Services, asks: Principal, name: str, version: int | None = None) -> FilterVersion:
    what = f"filter {name!r}: /api/v1/filters lists them"
    known = filters.whose(services.store).get(name)
    if known is None:
        raise NotFoundError(f"no {what}")  # said just as of one that is hidden
    seen_by(asks, known, what)
    return filters.get(services.store, name, version)


def _changed(services: Services, asks: Principal, name: str) -> None:
    known = filters.whose(services.store).get(name)
    if known is None:
        raise NotFoundError(f"no filter {name!r}")
    changed_by(asks, known, f"filter {name!r}")


def _reads(services: Services, asks: Principal, text: str) -> None:
    """Refuse a filter that reads lists its author may not see: what it picks would tell what is on them."""
    hidden = hidden_from(services, asks)
    if hidden.lists:
        hidden.refuse(sorted(parse_filter(text, number=1).columns))


def _owned(known: Mapping[str, Ownership], asks: Principal) -> int:
    return sum(one.owner == asks.user for one in known.values())


def _whole(one: FilterVersion, services: Services) -> FilterText:
    shown = _shown(one, stored.counts(services.store).get(one.name, 0))
    return FilterText(**shown.model_dump(), text=one.text)


def _shown(one: FilterVersion, count: int) -> Filter:
    spec = _spec(one)
    return Filter(
        name=one.name,
        version=str(one.version),
        state=one.state,
        streams=list(spec.streams) if spec else [],
        description=spec.description if spec else "It was written for another edition of the filter language",
        where=spec.where if spec else "",
        select={each.name: each.sql for each in spec.select} if spec else {},
        active=spec.active and one.state == filters.LIVE if spec else False,
        topic=matched(one.name),
        matches=count,
        author=one.author,
        owner=one.owner,
        team=one.team,
        visibility=one.visibility,
        created=one.created,
    )


def _spec(one: FilterVersion) -> FilterSpec | None:
    try:
        return parse_filter(one.text)
    except UsageError:
        return None
