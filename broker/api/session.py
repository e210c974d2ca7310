"""``session`` and ``me``: logging in with a password, logging out, and who one is."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from broker.api import limits
from broker.api.auth import Asks, log_in, log_out
from broker.api.policy import ACCOUNT, API
from broker.api.principal import TooManyError, UnauthenticatedError
from broker.api.problems import RESPONSES
from broker.api.services import Services
from broker.store import passwords, people
from broker.store.people import User

__all__ = ["router"]


class Login(BaseModel):
    """A name and a password."""

    name: Annotated[str, Field(max_length=200, description="Of the account", examples=["hypatia"])]
    password: Annotated[str, Field(max_length=passwords.MOST)]


class LoggedIn(BaseModel):
    """Who has logged in."""

    user: str = Field(examples=["hypatia"])
    admin: bool


class Me(BaseModel):
    """Who one is, and what one may do."""

    user: str | None = Field(description="The account; null for who has named none", examples=["hypatia"])
    display: str | None = Field(default=None, examples=["Hypatia of Alexandria"])
    email: str | None = None
    anonymous: bool
    logged_in: bool = Field(description="Whether by a log-in, which may make tokens and teams, and not by a token")
    scopes: list[str] = Field(description="What one may do", examples=[["read", "write:filters"]])
    teams: dict[str, str] = Field(description="Role by team: `member` or `manager`", examples=[{"transients": "manager"}])
    required: bool = Field(description="Whether anything here asks for an account; else everyone may do everything")
    oidc: str | None = Field(description="Where a browser is sent to log in elsewhere; null where that is not set up")


def router(services: Services) -> APIRouter:
    """Routes of this resource."""
    routes = APIRouter(tags=["people"], responses=RESPONSES)
    attempts = limits.Attempts()

    @routes.post("/session")
    def session(login: Login, request: Request, response: Response) -> LoggedIn:
        """Log in with a password: the answer sets a cookie. After some wrong ones the next has to wait."""
        user = _checked(services, attempts, login, limits.side(request.client.host if request.client else None))
        log_in(services, request, response, user)
        return LoggedIn(user=user.name, admin=user.admin)

    @routes.delete("/session", status_code=204)
    def end(response: Response, asks: Asks) -> None:
        """Log out: the log-in has ended, whoever else may hold its cookie."""
        log_out(services, response, asks)

    @routes.get("/me")
    def me(asks: Asks) -> Me:
        """Who one is, what one may do, and where to log in."""
        user = people.get(services.store, asks.user) if asks.user else None
        return Me(
            user=asks.user,
            display=user.display if user else None,
            email=user.email if user else None,
            anonymous=asks.anonymous,
            logged_in=ACCOUNT in asks.scopes and not asks.anonymous,
            scopes=sorted(asks.scopes - {ACCOUNT}),
            teams=dict(asks.teams),
            required=services.auth.required,
            oidc=f"{API}/oidc/login" if services.auth.oidc else None,
        )

    return routes


def _checked(services: Services, attempts: limits.Attempts, login: Login, side: str) -> User:
    """Whose name and password these are; what is said to be wrong, and when, is the same for accounts that there are not."""
    keys = [(limits.PAIR, f"{login.name}\n{side}"), (limits.ADDRESS, side), (limits.ACCOUNT, login.name)]
    wait = attempts.begin(keys)
    if wait:
        raise TooManyError("too many log-ins have failed: wait before the next", wait)
    user = people.log_in(services.store, login.name, login.password)
    if user is None:
        raise UnauthenticatedError("the name or the password is wrong, or the account is disabled")
    attempts.succeeded(keys)
    return user
