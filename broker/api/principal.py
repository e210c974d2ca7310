"""Who asks, and what of others' things they may see and change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from broker.api.policy import ACCOUNT
from broker.errors import NotFoundError, NunciusError
from broker.store.tokens import ADMIN, READ, SCOPES

__all__ = [
    "EVERYONE",
    "ForbiddenError",
    "Owned",
    "Principal",
    "TooManyError",
    "UnauthenticatedError",
    "Visibility",
    "changed_by",
    "may_change",
    "may_see",
    "may_share",
    "seen_by",
    "within",
]

Visibility = Literal["private", "team", "public"]


class UnauthenticatedError(NunciusError):
    """Nobody has said who they are, or not so that we can believe it (401)."""


class ForbiddenError(NunciusError):
    """They may not (403)."""


class TooManyError(NunciusError):
    """They asked too often (429)."""

    def __init__(self, text: str, seconds: float) -> None:
        super().__init__(text)
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks.

    Parameters
    ----------
    user
        The account; ``None`` where none is named.
    teams
        Its role by team.
    scopes
        What it may do; `broker.api.policy.ACCOUNT` among them where somebody has logged in.
    anonymous
        Whether no account is named.
    token
        Id of the token or of the log-in.
    """

    user: str | None = None
    teams: Mapping[str, str] = field(default_factory=dict)
    scopes: frozenset[str] = frozenset()
    anonymous: bool = True
    token: str | None = None

    @property
    def admin(self) -> bool:
        """Whether everything is theirs."""
        return ADMIN in self.scopes

    @property
    def name(self) -> str:
        """What is kept as the author of a change: the account, ``local`` where there is none."""
        return self.user or "local"

    def may(self, scope: str) -> bool:
        """Whether a scope is among theirs, itself or in the administrator's."""
        return scope in self.scopes or self.admin


EVERYONE = Principal(scopes=frozenset({*SCOPES, ACCOUNT}))
"""Who asks where no account is required: the person at the machine."""


class Owned(Protocol):
    """What belongs to someone: a filter, a watchlist, a region."""

    @property
    def owner(self) -> str | None:
        """The account; ``None`` where it is nobody's."""

    @property
    def team(self) -> str | None:
        """The team it is shared with."""

    @property
    def visibility(self) -> str:
        """``private``, ``team`` or ``public``."""


def may_see(principal: Principal, owner: str | None, team: str | None, visibility: str) -> bool:
    """Whether something may be seen: public by all, a team's by its members, anything by its owner and by administrators.

    What is not public asks for the scope ``read``, however public the rest may be.
    """
    if visibility == "public" or principal.admin:
        return True
    if principal.user is None or READ not in principal.scopes:
        return False
    return principal.user == owner or (visibility == "team" and team in principal.teams)


def may_change(principal: Principal, owner: str | None, team: str | None) -> bool:
    """Whether something may be changed: by its owner, its team and administrators; what nobody owns by the last alone.

    The scope is asked for before, by the address of the request; and what cannot be seen (`may_see`) cannot be changed.
    """
    if principal.admin:
        return True
    return principal.user is not None and (principal.user == owner or (team is not None and team in principal.teams))


def may_share(principal: Principal, team: str | None, visibility: str) -> None:
    """Refuse to share with a team one is not in, and with none.

    Raises
    ------
    ForbiddenError
        They are not in the team.
    """
    if visibility == "team" and team is None:
        raise ForbiddenError("visibility team without a team: name the team to share it with")
    if team is not None and team not in principal.teams and not principal.admin:
        raise ForbiddenError(f"you are not in team {team!r}: share it with one of yours, /api/v1/me has them")


def seen_by(principal: Principal, owned: Owned, what: str) -> None:
    """Refuse what may not be seen as if it were not there.

    Raises
    ------
    NotFoundError
        It may not be seen.
    """
    if not may_see(principal, owned.owner, owned.team, owned.visibility):
        raise NotFoundError(f"no {what}")


def changed_by(principal: Principal, owned: Owned, what: str) -> None:
    """Refuse a change of what is others'.

    Raises
    ------
    NotFoundError
        It may not be seen.
    ForbiddenError
        It may be seen, but not changed.
    """
    own = principal.user is not None and principal.user == owned.owner  # a token that may only write need not read
    shared = owned.visibility != "private" and may_change(principal, owned.owner, owned.team)
    if own or shared or principal.admin:
        return
    seen_by(principal, owned, what)
    whose = f"of {owned.owner!r}" if owned.owner else "nobody's, and administrators' to change"
    raise ForbiddenError(f"{what} is {whose}: make one of your own under another name")


def within(principal: Principal, most: int, there: int, what: str) -> None:
    """Refuse one more of what an account may have only so many of.

    Parameters
    ----------
    most
        From the quotas; 0 is no bound.
    there
        How many it has.

    Raises
    ------
    ForbiddenError
        It has as many.
    """
    if most and there >= most and not principal.admin:
        raise ForbiddenError(f"{principal.name!r} has {there} {what} of {most}: delete one first, or ask for more")
