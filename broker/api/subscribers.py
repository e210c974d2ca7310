"""Whose a subscription is."""

from __future__ import annotations

from broker.api.principal import Principal, may_see
from broker.api.services import Services
from broker.errors import NotFoundError
from broker.store import subscriptions
from broker.store.subscription import Subscription
from broker.store.tokens import READ

__all__ = ["reads", "seen"]


def reads(asks: Principal) -> bool:
    """Whether somebody sees any: nobody's are administrators', and what is public has no part in it."""
    return asks.admin or (asks.user is not None and READ in asks.scopes)


def seen(services: Services, asks: Principal, ident: str, *, change: bool = False) -> Subscription:
    """A subscription of whoever asks; others' are as if they were not there.

    Parameters
    ----------
    change
        Whether to change something: the scope was seen to before.

    Raises
    ------
    NotFoundError
        So it is.
    """
    missing = NotFoundError(f"no subscription {ident[:80]!r}: /api/v1/subscriptions lists yours")
    try:
        found = subscriptions.get(services.store, ident)
    except NotFoundError:
        raise missing from None
    own = asks.admin or (asks.user is not None and asks.user == found.owner)  # a token that may only write need not read
    if not (own if change else may_see(asks, found.owner, None, "private")):
        raise missing
    return found
