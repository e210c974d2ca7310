"""``oidc``: logging in elsewhere, by OpenID Connect with code, PKCE, state and nonce."""

from __future__ import annotations

import hmac
import json
import re
import secrets
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from broker.api.auth import is_secure, log_in
from broker.api.policy import API, Oidc
from broker.api.principal import ForbiddenError, UnauthenticatedError
from broker.api.problems import RESPONSES
from broker.api.services import Services
from broker.api.signing import sign, unsign
from broker.errors import NotFoundError, UsageError
from broker.store import people, tokens
from broker.store.people import User

if TYPE_CHECKING:
    from broker.api.oidc_provider import Provider

__all__ = ["router"]

COOKIE = "nuncius_oidc"
SECONDS = 600  # from login to callback
_PATH = f"{API}/oidc"
_TEXT = 2000
_REDIRECTS: dict[int | str, dict[str, Any]] = {303: {"description": "Go there"}}


def router(services: Services) -> APIRouter:
    """Routes of this resource."""
    routes = APIRouter(prefix="/oidc", tags=["people"], responses=RESPONSES)
    lock = threading.Lock()
    made: list[Provider] = []

    def provider() -> tuple[Oidc, Provider]:
        options = services.auth.oidc
        if options is None:
            message = "nobody logs in elsewhere here: auth.oidc.issuer is not set"
            raise NotFoundError(message)
        with lock:
            if not made:
                from broker.api.oidc_provider import Provider as Made  # noqa: PLC0415 - few set it up

                made.append(Made(options))
        return options, made[0]

    @routes.get("/login", status_code=303, response_class=RedirectResponse, responses=_REDIRECTS)
    def login(
        request: Request,
        to: Annotated[str, Query(alias="next", max_length=_TEXT, description="Our page to come back to", examples=["/"])] = "/",
    ) -> Response:
        """Send a browser to where one logs in."""
        _, asked = provider()
        kept = {"state": secrets.token_urlsafe(32), "nonce": secrets.token_urlsafe(32), "verifier": secrets.token_urlsafe(48)}
        answer = RedirectResponse(asked.address(**kept), 303)
        text = json.dumps(kept | {"next": _ours(to), "until": int(time.time()) + SECONDS})
        value = sign(tokens.signing_key(services.store), COOKIE, text.encode().hex())
        secure = is_secure(services, request)
        answer.set_cookie(COOKIE, value, max_age=SECONDS, path=_PATH, httponly=True, samesite="lax", secure=secure)
        return answer

    @routes.get("/callback", status_code=303, response_class=RedirectResponse, responses=_REDIRECTS)
    def callback(
        request: Request,
        state: Annotated[str, Query(max_length=_TEXT)] = "",
        code: Annotated[str, Query(max_length=_TEXT)] = "",
        error: Annotated[str, Query(max_length=_TEXT, description="Why it did not work")] = "",
    ) -> Response:
        """Where the browser comes back to: logs in, and goes on to the page it came from."""
        options, asked = provider()
        kept = _begun(services, request.cookies.get(COOKIE, ""))
        if kept is None or not hmac.compare_digest(kept["state"].encode(), state.encode()):
            raise UnauthenticatedError(f"this log-in was not begun here, or too long ago: begin again at {_PATH}/login")
        if error or not code:
            raise UnauthenticatedError(f"the log-in at {options.issuer} did not work: {error or 'it gives no code'}")
        claims = asked.claims(code, nonce=kept["nonce"], verifier=kept["verifier"])
        answer = RedirectResponse(kept["next"], 303)
        log_in(services, request, answer, _account(services, options, claims))
        answer.delete_cookie(COOKIE, path=_PATH, httponly=True, samesite="lax")
        return answer

    return routes


def _ours(address: str) -> str:
    """An address of ours to go back to: a path, and nothing that a browser could take for another host."""
    if not re.fullmatch(r"/(?![/\\])[^\\\x00-\x20\x7f]*", address):
        raise UsageError(f"next={address!r} is no page of ours: give its path, such as /filters")
    return address


def _begun(services: Services, cookie: str) -> dict[str, str] | None:
    """What was kept in the browser when the log-in began; ``None`` where it was not here, or too long ago."""
    text = unsign(tokens.signing_key(services.store), COOKIE, cookie) if cookie else None
    if text is None:
        return None
    kept: dict[str, Any] = json.loads(bytes.fromhex(text))
    return kept if kept["until"] > time.time() else None


def _account(services: Services, options: Oidc, claims: Any) -> User:
    """The account of who has logged in, made the first time. None is theirs for its name or its address alone."""
    subject = f"{options.issuer} {claims['sub']}"
    user = people.by_subject(services.store, subject)
    if user is None:
        if not options.create:
            raise ForbiddenError(
                f"there is no account for you: have one made, `nuncius user add NAME --oidc-subject '{subject}'`"
            )
        user = _made(services, claims, subject)
    if user.disabled:
        raise ForbiddenError(f"account {user.name!r} is disabled")
    return user


def _made(services: Services, claims: Any, subject: str) -> User:
    def said(name: str) -> str | None:
        value = claims.get(name)
        return "".join(filter(str.isprintable, value))[:200] or None if isinstance(value, str) else None

    wanted = said("preferred_username") or (said("email") or "").partition("@")[0] or said("name") or "user"
    for _ in range(5):  # others may take the name, or be the same person in another window
        name = people.free_name(services.store, wanted)
        with suppress(UsageError):
            people.add(services.store, name, email=said("email"), display=said("name"), oidc_subject=subject)
        user = people.by_subject(services.store, subject)
        if user is not None:
            return user
    message = f"no account could be made for {wanted!r}: try again"
    raise UsageError(message)
