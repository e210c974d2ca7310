"""``tokens``: what programs send to be let in, made and revoked by who has logged in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, Field

from broker.api.auth import Principal, require
from broker.api.models import Utc
from broker.api.policy import ACCOUNT
from broker.api.principal import ForbiddenError, UnauthenticatedError
from broker.api.problems import RESPONSES
from broker.api.services import Services
from broker.store import tokens as stored

__all__ = ["router"]

Scope = Literal["read", "write:filters", "write:watchlists", "write:subscriptions", "admin"]
LONGEST = 3660  # days


class NewToken(BaseModel):
    """A token to be made."""

    scopes: Annotated[list[Scope], Field(min_length=1, max_length=10, examples=[["read", "write:filters"]])]
    note: Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$", description="What it is for")] = ""
    days: Annotated[float | None, Field(gt=0, le=LONGEST, description="How long it is good; null is for ever")] = 90


class Token(BaseModel):
    """What is known of a token: not its secret."""

    id: str = Field(examples=["0a1b2c3d4e5f"])
    user: str
    note: str
    scopes: list[str]
    created: Utc
    expires: Utc | None = None
    last_used: Utc | None = Field(default=None, description="To the minute")
    revoked: Utc | None = None


class MadeToken(Token):
    """A token just made."""

    token: str = Field(description="What to send as `Authorization: Bearer ...`. It is shown this once", examples=["ncs_..."])


class TokenList(BaseModel):
    """Tokens, the newest first."""

    items: list[Token]


Someone = Annotated[Principal, Depends(require(ACCOUNT))]


def _user(asks: Principal) -> str:
    if asks.user is None:
        raise UnauthenticatedError("a token is of an account: log in first, or use `nuncius token add`")
    return asks.user


def _shown(token: stored.Token) -> Token:
    return Token(
        id=token.id,
        user=token.user,
        note=token.note,
        scopes=list(token.scopes),
        created=token.created,
        expires=token.expires,
        last_used=token.last_used,
        revoked=token.revoked,
    )


def router(services: Services) -> APIRouter:
    """Routes of this resource."""
    routes = APIRouter(prefix="/tokens", tags=["people"], responses=RESPONSES)

    @routes.get("")
    def listing(asks: Someone) -> TokenList:
        """One's own tokens, the newest first."""
        return TokenList(items=[_shown(token) for token in stored.listing(services.store, _user(asks))])

    @routes.post("", status_code=201)
    def make(wanted: NewToken, asks: Someone) -> MadeToken:
        """Make a token, with no scope that one has not oneself."""
        user = _user(asks)
        more = [scope for scope in wanted.scopes if not asks.may(scope)]
        if more:
            raise ForbiddenError(f"scope {', '.join(more)}: you have not got it yourself")
        end = None if wanted.days is None else datetime.now(UTC) + timedelta(days=wanted.days)
        secret, token = stored.make(services.store, user, set(wanted.scopes), note=wanted.note, expires=end)
        return MadeToken(**_shown(token).model_dump(), token=secret)

    @routes.delete("/{token}", status_code=204)
    def revoke(token: Annotated[str, Path(description="Its id", examples=["0a1b2c3d4e5f"])], asks: Someone) -> None:
        """Revoke a token: it is good no more, and stays on the list. Administrators can revoke anybody's."""
        stored.revoke(services.store, token, user=None if asks.admin else _user(asks))

    return routes
