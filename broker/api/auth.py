"""Who asks, told of every request before anything else is done with it, and whether they may.

A router takes `principal` as a dependency; whether the scope is there that its address asks for was seen to before, by
`broker.api.policy.needed`. Of what belongs to someone it says whose in two lines::

    def one(name: str, asks: Asks) -> Shown:                # Asks = Annotated[Principal, Depends(principal)]
        seen_by(asks, found := read(name), f"filter {name!r}")        # 404 where it may not be seen; of a list: `may_see`
        changed_by(asks, found, f"filter {name!r}")                   # before a change: 403 where it is others'

What is new is kept with ``owner=asks.user``, its author with ``asks.name``; `may_share` before it is shared with a team,
`within` before one more than the quotas allow.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection
from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from broker.api import limits, policy, problems
from broker.api.pages import PAGES
from broker.api.principal import (
    EVERYONE,
    ForbiddenError,
    Owned,
    Principal,
    TooManyError,
    UnauthenticatedError,
    changed_by,
    may_change,
    may_see,
    may_share,
    seen_by,
    within,
)
from broker.api.services import Services
from broker.api.signing import sign, unsign
from broker.errors import NotFoundError, NunciusError
from broker.store import tokens
from broker.store.people import User
from broker.store.tokens import ADMIN, READ

__all__ = [
    "COOKIE",
    "Asks",
    "Authenticate",
    "Owned",
    "Principal",
    "changed_by",
    "is_secure",
    "log_in",
    "log_out",
    "may_change",
    "may_see",
    "may_share",
    "principal",
    "recheck",
    "require",
    "seen_by",
    "within",
]

COOKIE = "nuncius_session"
_PURPOSE = "session"
_PAGES = tuple(compile_path(page.path)[0] for page in PAGES)
_HOW = "log in, or send a token (`nuncius token add`) as the header Authorization: Bearer ncs_..."


def principal(connection: HTTPConnection) -> Principal:
    """Who asks: a dependency of routers."""
    found = connection.state.principal
    assert isinstance(found, Principal)
    return found


Asks = Annotated[Principal, Depends(principal)]


def require(scope: str) -> Callable[[Principal], Principal]:
    """A dependency that refuses whoever has not a scope, where the address alone does not say so."""

    def check(asks: Asks) -> Principal:
        _demand(asks, scope)
        return asks

    return check


def recheck(connection: HTTPConnection) -> Principal:
    """Who asks, now: for answers that go on for long.

    Raises
    ------
    UnauthenticatedError
        Their token is no longer good, or their log-in has ended.
    """
    again = connection.state.recheck()
    assert isinstance(again, Principal)
    if again.anonymous and not principal(connection).anonymous:
        raise UnauthenticatedError(f"the log-in has ended: {_HOW}")
    return again


def log_in(services: Services, request: Request, response: Response, user: User) -> None:
    """Begin a log-in of somebody who has said who they are, held by a cookie of the response."""
    hours = services.auth.session_hours
    scopes = [scope for scope in tokens.SCOPES if user.admin or scope != ADMIN]
    until = datetime.now(UTC) + timedelta(hours=hours)
    token, _ = tokens.make(services.store, user.name, scopes, expires=until, kind="session")
    signed = sign(tokens.signing_key(services.store), _PURPOSE, token)
    secure = is_secure(services, request)
    response.set_cookie(COOKIE, signed, max_age=int(hours * 3600), httponly=True, samesite="lax", secure=secure)


def log_out(services: Services, response: Response, asks: Principal) -> None:
    """End the log-in by which somebody asks, if it is by one."""
    if asks.token is not None and policy.ACCOUNT in asks.scopes:
        tokens.end_session(services.store, asks.token)
    response.delete_cookie(COOKIE, httponly=True, samesite="lax")


def is_secure(services: Services, request: Request) -> bool:
    """Whether the browser has reached us over TLS, as far as we are told."""
    return request.url.scheme == "https" or f"https://{request.headers.get('host')}" in services.auth.origins


class Authenticate:
    """Middleware that finds out who asks, and lets through who may."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self.app = app
        self._services, self._auth = services, services.auth
        self._requests = limits.Rate(self._auth.quotas.requests_per_minute, 60.0)
        self._backtests = limits.Rate(self._auth.quotas.backtests_per_hour, 3600.0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        try:
            asks = await self._admitted(connection)
        except NunciusError as error:
            await problems.answer(connection, error)(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state |= {"principal": asks, "recheck": lambda: self._who(connection)[0]}
        if scope["type"] == "websocket":
            state["unsaid"] = self._auth.required and asks.anonymous
            state["introduce"] = lambda secret: self._introduce(connection, secret)
        await self.app(scope, receive, send)

    async def _admitted(self, connection: HTTPConnection) -> Principal:
        path, method = connection.scope["path"], connection.scope.get("method", "GET")
        socket = connection.scope["type"] == "websocket"
        if socket and path not in policy.SOCKETS:
            raise NotFoundError(f"no WebSocket is served at {path}")
        wanted = policy.needed(method, path)
        if wanted == READ and any(page.match(path) for page in _PAGES):
            wanted = policy.OPEN  # a page says nothing of its own: it asks the API, as who looks at it
        given = "authorization" in connection.headers or COOKIE in connection.cookies
        try:
            asks, cookie = await run_in_threadpool(self._who, connection) if given else (self._nobody(), False)
        except UnauthenticatedError:
            self._count(_side(connection))
            raise
        self._count(asks.user or _side(connection))
        if method not in policy.SAFE or socket:  # a socket is read by whatever page opened it
            self._refuse_strangers_pages(connection, cookie=cookie)
        if not (socket and asks.anonymous):  # their first message says who it is: `_introduce`
            _demand(self._with_public(asks), wanted)
        if policy.counts_as_backtest(method, path):
            wait = self._backtests.take(asks.user or _side(connection))
            if wait:
                raise TooManyError(f"{self._auth.quotas.backtests_per_hour} backtests an hour are the most", wait)
        return asks

    def _introduce(self, connection: HTTPConnection, secret: str | None) -> None:
        """Take note of who a WebSocket's first message says it is; it may read, or is refused."""
        if secret is None:
            asks = self._nobody()
        else:
            self._count(_side(connection))
            asks = self._holder(secret)
        _demand(self._with_public(asks), READ)
        again = self._nobody if secret is None else lambda: self._holder(secret)
        connection.scope["state"] |= {"principal": asks, "recheck": again}

    def _nobody(self) -> Principal:
        """Who asks where nobody says who they are."""
        if not self._auth.required:
            return EVERYONE
        return Principal(scopes=frozenset({READ} if self._auth.public_read else ()))

    def _with_public(self, asks: Principal) -> Principal:
        """With what all may: a token without ``read`` takes nothing from what is public."""
        public = not self._auth.required or self._auth.public_read
        return replace(asks, scopes=asks.scopes | {READ}) if public else asks

    def _who(self, connection: HTTPConnection) -> tuple[Principal, bool]:
        """Who asks, and whether a cookie says so."""
        kind, _, secret = connection.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return self._holder(secret), False
        cookie = connection.cookies.get(COOKIE)
        if cookie:
            token = unsign(tokens.signing_key(self._services.store), _PURPOSE, cookie)
            found = None if token is None else tokens.holder(self._services.store, token)
            if found is not None and found.session:
                return _of(found), True
        return self._nobody(), False  # a browser keeps cookies of log-ins that have ended: what is public stays so

    def _holder(self, secret: str) -> Principal:
        """Who holds a token."""
        found = tokens.holder(self._services.store, secret.strip())
        if found is None or found.session:
            raise UnauthenticatedError(f"the token is none of ours, has ended, was revoked, or its account is disabled: {_HOW}")
        return _of(found)

    def _count(self, key: str) -> None:
        wait = self._requests.take(key)
        if wait:
            raise TooManyError(f"{self._auth.quotas.requests_per_minute} requests a minute are the most", wait)

    def _refuse_strangers_pages(self, connection: HTTPConnection, *, cookie: bool) -> None:
        """Refuse what another site's page has a browser do here, as the person before it or as this machine's."""
        origin = connection.headers.get("origin")
        if connection.headers.get("authorization", "").lower().startswith("bearer "):
            return  # no page of others can send that
        if origin is None:
            if cookie:
                raise ForbiddenError("the request does not say which page it comes from: send Origin, or a token, not a cookie")
            return  # no browser
        host = connection.headers.get("host", "")
        if origin in self._auth.origins or (origin.partition("://")[2] == host and (self._auth.required or _is_near(host))):
            return
        raise ForbiddenError(
            f"the request comes from a page of {origin}: if that is where browsers reach us, add it to auth.origins"
        )


def _of(found: tokens.Holder) -> Principal:
    scopes = found.scopes | ({policy.ACCOUNT} if found.session else frozenset())
    return Principal(found.user, found.teams, scopes, anonymous=False, token=found.token)


def _demand(asks: Principal, wanted: str) -> None:
    if wanted == policy.OPEN or asks.may(wanted):
        return
    if asks.anonymous:
        raise UnauthenticatedError(f"this asks for an account: {_HOW}")
    if wanted == policy.ACCOUNT:
        raise ForbiddenError("this asks for somebody who has logged in, not for a token: use `nuncius` or a log-in")
    whose = "only administrators may" if wanted == ADMIN else f"the token has not the scope {wanted}"
    raise ForbiddenError(f"{whose}: ask for one that may, `nuncius token add {asks.user} --scope {wanted}`")


def _is_near(host: str) -> bool:
    """Whether a host is named so that no stranger can have the name stand for our address (DNS rebinding)."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    try:
        return bool(ipaddress.ip_address(name))
    except ValueError:
        return "." not in name or name.endswith((".localhost", ".local", ".internal"))


def _side(connection: HTTPConnection) -> str:
    return limits.side(connection.client.host if connection.client else None)
