"""What making subscriptions asks of others: whether a target may be sent to, secrets, what Kafka users may read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from broker.errors import NotFoundError
from broker.store.subscription import Subscription

__all__ = ["NO_SUBSCRIBING", "Made", "Subscribing", "to_others"]


@dataclass(frozen=True, slots=True)
class Made:
    """A subscription made or changed.

    Parameters
    ----------
    password
        Of its Kafka user, where one was made: nobody keeps it.
    """

    subscription: Subscription
    password: str | None = None


@dataclass(frozen=True, slots=True)
class Subscribing:
    """How subscriptions come to be.

    Parameters
    ----------
    add
        Makes one of what `broker.store.subscriptions.add` takes, an empty secret standing for one that is made. `UsageError`
        where its target may not be sent to.
    change
        Changes one by id, likewise, and lets a Kafka user read what its new filters pick.
    remove
        Ends one by id, and what it let a Kafka user read.
    shown
        A target without what is secret in it, by channel.
    """

    add: Callable[[Mapping[str, Any]], Made]
    change: Callable[[str, Mapping[str, Any]], Made]
    remove: Callable[[str], None]
    shown: Callable[[str, Mapping[str, Any]], Mapping[str, Any]]


def to_others(target: Mapping[str, Any]) -> Mapping[str, Any]:
    """A target as others than its owner see it: many webhooks have a token in path or query, and who has it can write there."""
    if "url" not in target:
        return target
    url = urlsplit(str(target["url"]))
    more = "/***" if url.path.strip("/") or url.query else url.path
    return {**target, "url": f"{url.scheme}://{url.netloc}{more}"}


def _none(*_: Any) -> Any:
    raise NotFoundError("no subscriptions are kept here")


NO_SUBSCRIBING = Subscribing(_none, _none, _none, _none)
