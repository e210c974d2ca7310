"""``teams``: who shares filters and watchlists with whom."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, Field

from broker.api.auth import Principal, require
from broker.api.models import Utc
from broker.api.policy import ACCOUNT
from broker.api.principal import ForbiddenError
from broker.api.problems import RESPONSES
from broker.api.services import Services
from broker.errors import NotFoundError
from broker.store import teams as stored
from broker.store.people import NAME
from broker.store.teams import MANAGER, MEMBER, Role

__all__ = ["router"]

_NAME = f"^{NAME}$"


class NewTeam(BaseModel):
    """A team to be made."""

    name: Annotated[str, Field(pattern=_NAME, examples=["transients"])]
    title: Annotated[str | None, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$", examples=["Transients group"])] = None


class NewRole(BaseModel):
    """What somebody is to be in a team."""

    role: Role = Field(default=MEMBER, description="`manager`: says who is in the team")


class Team(BaseModel):
    """A team."""

    name: str = Field(examples=["transients"])
    title: str | None = None
    created: Utc
    members: dict[str, str] = Field(description="Role by account: `member` or `manager`", examples=[{"hypatia": "manager"}])


class TeamList(BaseModel):
    """Teams, by name."""

    items: list[Team]


Someone = Annotated[Principal, Depends(require(ACCOUNT))]
TeamName = Annotated[str, Path(pattern=_NAME, examples=["transients"])]
UserName = Annotated[str, Path(pattern=_NAME, examples=["hypatia"])]


def router(services: Services) -> APIRouter:
    """Routes of this resource."""
    routes = APIRouter(prefix="/teams", tags=["people"], responses=RESPONSES)

    @routes.get("")
    def listing(asks: Someone) -> TeamList:
        """One's own teams; for administrators, all."""
        found = stored.teams(services.store, member=None if asks.admin else asks.user)
        return TeamList(items=[_shown(team) for team in found])

    @routes.post("", status_code=201)
    def make(wanted: NewTeam, asks: Someone) -> Team:
        """Make a team, which one then manages."""
        stored.add(services.store, wanted.name, title=wanted.title, manager=asks.user)
        return _shown(stored.get(services.store, wanted.name))

    @routes.get("/{team}")
    def one(team: TeamName, asks: Someone) -> Team:
        """A team and who is in it."""
        return _shown(_known(services, team, asks))

    @routes.put("/{team}/members/{user}")
    def join(team: TeamName, user: UserName, wanted: NewRole, asks: Someone) -> Team:
        """Take somebody into a team, or change what they are there."""
        _managed(services, team, asks)
        stored.join(services.store, team, user, wanted.role)
        return _shown(stored.get(services.store, team))

    @routes.delete("/{team}/members/{user}", status_code=204)
    def leave(team: TeamName, user: UserName, asks: Someone) -> None:
        """Take somebody out of a team, or leave it."""
        if user == asks.user:
            _known(services, team, asks)
        else:
            _managed(services, team, asks)
        stored.leave(services.store, team, user)

    return routes


def _shown(team: stored.Team) -> Team:
    return Team(name=team.name, title=team.title, created=team.created, members=dict(team.members))


def _known(services: Services, name: str, asks: Principal) -> stored.Team:
    """A team, if it is one's own; others are as if they were not there."""
    team = stored.get(services.store, name)
    if asks.user not in team.members and not asks.admin:
        message = f"no team {name!r}: /api/v1/teams lists yours"
        raise NotFoundError(message)
    return team


def _managed(services: Services, name: str, asks: Principal) -> None:
    """Refuse whoever does not say who is in the team."""
    team = _known(services, name, asks)
    if team.members.get(asks.user or "") != MANAGER and not asks.admin:
        managers = ", ".join(user for user, role in team.members.items() if role == MANAGER)
        message = f"only managers say who is in team {name!r}: {managers or 'administrators'}"
        raise ForbiddenError(message)
