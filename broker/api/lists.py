"""What the resources of watchlists and regions have in common."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from broker.api.auth import Principal, changed_by, may_see, may_share, seen_by, within
from broker.api.models import Utc
from broker.api.principal import ForbiddenError, Owned
from broker.api.problems import RESPONSES
from broker.api.services import Services
from broker.errors import NotFoundError
from broker.filtering.definition import FilterSpec
from broker.store import people
from broker.store.lists import Ownership, unknown
from broker.store.tokens import ADMIN, READ

__all__ = ["IN_USE", "TAKEN", "Described", "changeable", "new", "refuse_in_use", "refuse_readers", "reshared", "visible"]

TAKEN: Final[dict[int | str, dict[str, Any]]] = {
    409: {"description": "There is one of that name", "content": RESPONSES[400]["content"]},
}
IN_USE: Final[dict[int | str, dict[str, Any]]] = {
    409: {"description": "Live filters ask for it", "content": RESPONSES[400]["content"]},
}


class Described(BaseModel):
    """What is said of a list."""

    description: str
    owner: str | None = Field(default=None, description="Whose it is; null: nobody's")
    team: str | None = Field(default=None, description="The team it is shared with")
    visibility: str = Field(description="`private`, `team` or `public`")
    created: Utc = Field(description="UTC")
    who: str | None = Field(default=None, description="Who made it")


def visible(asks: Principal, known: Mapping[str, Owned], kind: str, name: str) -> None:
    """Refuse a list that may not be seen just as one that is not there.

    Raises
    ------
    NotFoundError
        So it is; the nearest name that may be seen is told.
    """
    try:
        seen_by(asks, known[name], f"{kind} {name!r}")
    except (KeyError, NotFoundError):
        raise _missing(asks, known, kind, name) from None


def changeable(asks: Principal, known: Mapping[str, Owned], kind: str, name: str) -> None:
    """Refuse a change of a list that is others'.

    Raises
    ------
    NotFoundError
        It may not be seen, or is not there.
    ForbiddenError
        It may not be changed.
    """
    try:
        changed_by(asks, known[name], f"{kind} {name!r}")
    except (KeyError, NotFoundError):
        raise _missing(asks, known, kind, name) from None


def new(asks: Principal, known: Mapping[str, Owned], kind: str, name: str, owned: Ownership, most: int) -> Ownership:  # noqa: PLR0917 - said of one list
    """Whose a list that is to be made will be.

    Parameters
    ----------
    owned
        As asked for.
    most
        Lists of the kind that an account may have; 0 is no bound.

    Raises
    ------
    ForbiddenError
        It would be somebody else's, a strange team's, or one too many.
    HTTPException
        409: the name is taken.
    """
    within(asks, most, sum(one.owner == asks.user for one in known.values()), f"{kind}s")
    may_share(asks, owned.team, owned.visibility)
    _own(asks, owned.owner)
    if name in known:
        one = known[name]
        remedy = (
            "PUT to it to replace what is in it"
            if may_see(asks, one.owner, one.team, one.visibility)
            else "choose another name"
        )
        raise HTTPException(409, f"there is a {kind} {name!r}: {remedy}")
    return Ownership(owned.owner or asks.user, owned.team, owned.visibility)


def reshared(asks: Principal, before: Owned, owner: str | None, team: str | None, visibility: str | None) -> Ownership:
    """Whose a list will be; refused is to give it away, or to share it with a team one is not in. ``None`` stays as it is.

    Raises
    ------
    ForbiddenError
        They may not.
    """
    if owner != before.owner:
        _own(asks, owner)
    wanted = (before.team if team is None else team) or None
    shown = visibility or before.visibility
    if team is not None or visibility is not None:
        may_share(asks, None if wanted == before.team and shown != "team" else wanted, shown)
    return Ownership(owner or before.owner, wanted, shown)


def refuse_in_use(filters: Sequence[FilterSpec], what: str, columns: Iterable[str], hidden: Collection[str] = ()) -> None:
    """Answer 409 where a live filter reads one of the columns; those `hidden` from who asks are not named."""
    asked = set(columns)
    using = [spec.name for spec in filters if spec.active and not asked.isdisjoint(spec.columns)]
    named = [name for name in using if name not in hidden]
    if len(named) < len(using):
        named.append("a filter of others")
    if named:
        raise HTTPException(409, f"{what} is asked for by {', '.join(named)}: take it out of there, or say force=true")


def refuse_readers(services: Services, what: str, columns: Iterable[str], owned: Owned) -> None:
    """Answer 409 where a live filter of somebody who may not see a list reads its columns: what it picks would tell of it.

    Filters that nobody owns are administrators', who see all.
    """
    if owned.visibility == "public":
        return
    asked, owners = set(columns), services.filter_owners()
    for spec in services.filters():
        whose = owners.get(spec.name)
        if asked.isdisjoint(spec.columns) or whose is None or whose.owner is None:
            continue
        reader = people.get(services.store, whose.owner)
        scopes = {READ, ADMIN} if reader.admin else {READ}
        if not may_see(Principal(reader.name, reader.teams, frozenset(scopes)), owned.owner, owned.team, owned.visibility):
            raise HTTPException(409, f"a live filter of others asks for {what}: choose another name, or let it be public")


def _own(asks: Principal, owner: str | None) -> None:
    if owner is not None and owner != asks.user and not asks.admin:
        raise ForbiddenError(f"what you make is yours, not {owner!r}'s: leave out owner, administrators alone may name another")


def _missing(asks: Principal, known: Mapping[str, Owned], kind: str, name: str) -> NotFoundError:
    seen = [other for other, one in known.items() if may_see(asks, one.owner, one.team, one.visibility)]
    return NotFoundError(unknown(kind, name, [other for other in seen if other != name]))
