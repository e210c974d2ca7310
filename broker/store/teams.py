"""Teams: who shares filters and watchlists. Managers say who is in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from sqlalchemy import Connection, delete, select
from sqlalchemy.exc import IntegrityError

from broker.errors import NotFoundError, UsageError
from broker.store import tables
from broker.store.engine import Store, connection, transaction
from broker.store.people import checked_name
from broker.store.times import from_micros, now

__all__ = ["MANAGER", "MEMBER", "Role", "Team", "add", "get", "join", "leave", "teams"]

Role = Literal["member", "manager"]
MEMBER: Final = "member"
MANAGER: Final = "manager"


@dataclass(frozen=True, slots=True)
class Team:
    """A team: its members' roles by account."""

    name: str
    title: str | None
    created: datetime
    members: Mapping[str, str]


def add(store: Store, name: str, *, title: str | None = None, manager: str | None = None) -> None:
    """Make a team, and who manages it.

    Raises
    ------
    UsageError
        There is one of the name, or it cannot be.
    NotFoundError
        There is no such account.
    """
    checked_name(name, "team")
    with transaction(store) as conn:
        if manager is not None:
            _known(conn, manager)
        if conn.execute(select(tables.teams.c.name).where(tables.teams.c.name == name)).first() is not None:
            raise _taken(name)
        try:
            conn.execute(tables.teams.insert().values(name=name, title=title, created=now()))
        except IntegrityError as error:  # another process has just made it
            raise _taken(name) from error
        if manager is not None:
            conn.execute(tables.team_members.insert().values(team_name=name, user_name=manager, role=MANAGER))


def teams(store: Store, *, member: str | None = None) -> list[Team]:
    """All teams, or those of an account, by name."""
    team, row = tables.teams.c, tables.team_members.c
    wanted = select(tables.teams).order_by(team.name)
    if member is not None:
        wanted = wanted.where(team.name.in_(select(row.team_name).where(row.user_name == member)))
    with connection(store) as conn:
        found = conn.execute(wanted).all()
        roles: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for each in conn.execute(select(tables.team_members).order_by(row.user_name)):
            roles[each.team_name][each.user_name] = each.role
    shown = []
    for each in found:
        created = from_micros(each.created)
        assert created is not None
        shown.append(Team(each.name, each.title, created, roles[each.name]))
    return shown


def get(store: Store, name: str) -> Team:
    """A team.

    Raises
    ------
    NotFoundError
        There is none of the name.
    """
    for team in teams(store):
        if team.name == name:
            return team
    raise _no_team(name)


def join(store: Store, name: str, user: str, role: Role = MEMBER) -> None:
    """Take an account into a team, or give it another role there.

    Raises
    ------
    NotFoundError
        There is no such team or account.
    UsageError
        It is the last that manages the team.
    """
    member = tables.team_members.c
    with transaction(store) as conn:
        _locked(conn, name)
        _known(conn, user)
        if role != MANAGER:
            _keep_a_manager(conn, name, user)
        conn.execute(delete(tables.team_members).where(member.team_name == name, member.user_name == user))
        conn.execute(tables.team_members.insert().values(team_name=name, user_name=user, role=role))


def leave(store: Store, name: str, user: str) -> None:
    """Take an account out of a team.

    Raises
    ------
    NotFoundError
        There is no such team, or the account is not in it.
    UsageError
        It is the last that manages the team, while others are in it.
    """
    member = tables.team_members.c
    with transaction(store) as conn:
        _locked(conn, name)
        _keep_a_manager(conn, name, user)
        gone = conn.execute(delete(tables.team_members).where(member.team_name == name, member.user_name == user))
        if not gone.rowcount:
            raise NotFoundError(f"{user!r} is not in team {name!r}")


def _locked(conn: Connection, name: str) -> None:
    """Have whoever changes who is in wait for us; SQLite's writers do anyway."""
    if conn.execute(select(tables.teams.c.name).where(tables.teams.c.name == name).with_for_update()).first() is None:
        raise _no_team(name)


def _keep_a_manager(conn: Connection, name: str, user: str) -> None:
    member = tables.team_members.c
    roles = {row.user_name: row.role for row in conn.execute(select(tables.team_members).where(member.team_name == name))}
    others = [role for each, role in roles.items() if each != user]
    if roles.get(user) == MANAGER and others and MANAGER not in others:
        raise UsageError(f"{user!r} is the last who manages team {name!r}: make another its manager first")


def _known(conn: Connection, user: str) -> None:
    if conn.execute(select(tables.users.c.name).where(tables.users.c.name == user)).first() is None:
        raise NotFoundError(f"no account {user!r}: `nuncius user list` has them all")


def _taken(name: str) -> UsageError:
    return UsageError(f"there is a team {name!r} already: take another name")


def _no_team(name: str) -> NotFoundError:
    return NotFoundError(f"no team {name!r}: /api/v1/teams lists yours")
