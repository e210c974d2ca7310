"""Readers of Kafka, who come for theirs: what the owner of a subscription may no longer see is taken from its user."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Final

from broker.errors import NunciusError
from broker.store import subscriptions
from broker.telemetry import get_logger
from broker.wiring import access
from broker.wiring.deliver_book import Rights
from broker.wiring.parts import Parts

__all__ = ["take_back", "unseen", "watch"]

log = get_logger(__name__)

WATCH_SECONDS: Final = 60.0


def watch(parts: Parts, rights: Rights, stop: threading.Event) -> None:
    """Take back what is to be taken back, now and then, until told to stop."""
    while not stop.is_set():
        try:
            take_back(parts, rights)
        except NunciusError as error:
            log.warning("readers of Kafka may still read what their owners may not see", error=str(error))
        except Exception:  # deliveries go on
            log.exception("readers of Kafka may still read what their owners may not see")
        stop.wait(WATCH_SECONDS)


def unseen(parts: Parts, rights: Rights) -> Mapping[str, frozenset[str]]:
    """Filters that users of Kafka are subscribed to by owners who may not see them, and by nobody who may."""
    named: dict[str, set[str]] = {}
    seen: dict[str, set[str]] = {}
    for one in subscriptions.listing(parts.store):
        if one.channel == "kafka":
            user, hidden = str(one.target["user"]), rights.hidden_from(one.owner)
            named.setdefault(user, set()).update(one.filters)
            if hidden is not None:  # who is disabled, or gone, sees nothing
                seen.setdefault(user, set()).update(set(one.filters) - hidden.filters)
    left = {user: frozenset(names - seen.get(user, set())) for user, names in named.items()}
    return {user: names for user, names in left.items() if names}


def take_back(parts: Parts, rights: Rights) -> None:
    """Take these filters from these users on the cluster; nothing else that they were granted, and not their password.

    Raises
    ------
    NunciusError
        Kafka is away, or does not let us.
    """
    gone = unseen(parts, rights) if parts.settings.log.engine == "kafka" else {}
    if not gone:
        return
    for one in access.listing(parts.settings):
        taken = sorted(gone.get(one.user, frozenset()) & set(access.filters_of(one)))
        if taken:
            access.revoke(parts.settings, one.user, taken)
            log.info(
                "a reader of Kafka reads no more what the owner of the subscription may not see", user=one.user, filters=taken
            )
