"""The subscriptions in force, and what their owners may see."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from broker.api.hidden import Hidden
from broker.api.principal import Owned, Principal, may_see
from broker.errors import NotFoundError
from broker.store import people, subscriptions
from broker.store.subscription import Subscription
from broker.store.tokens import ADMIN, READ
from broker.wiring.owners import Owners
from broker.wiring.parts import Parts

__all__ = ["Book", "Listed", "Rights"]

LOOK_SECONDS: Final = 1.0  # between two looks at what an owner may see
SENT: Final = frozenset({"webhook", "message"})  # Kafka's readers come for theirs


@dataclass(frozen=True, slots=True)
class Listed:
    """Subscriptions that something is sent to, by their ids and by the names of their filters."""

    version: int = -1
    by_id: Mapping[str, Subscription] = field(default_factory=dict)
    by_filter: Mapping[str, tuple[Subscription, ...]] = field(default_factory=dict)


class Book:
    """Read again when the counter of changes has grown; may be shared by threads."""

    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._lock = threading.Lock()
        self._listed = Listed()

    def now(self) -> Listed:
        """Those in force, as of this call."""
        with self._lock:
            version = subscriptions.version(self._store)  # before the rest: a change in between is seen the next time
            if version != self._listed.version:
                some = {one.id: one for one in subscriptions.listing(self._store) if one.channel in SENT}
                by_filter: dict[str, tuple[Subscription, ...]] = {}
                for one in some.values():
                    for name in one.filters:
                        by_filter[name] = (*by_filter.get(name, ()), one)
                self._listed = Listed(version, some, by_filter)
            return self._listed


class Rights:
    """What owners may see, right to a second; may be shared by threads."""

    def __init__(self, parts: Parts) -> None:
        self._store, self._required = parts.store, parts.settings.auth.required
        self._owners = Owners(parts.store)
        self._known: dict[str, tuple[float, Hidden | None]] = {}

    def hidden_from(self, owner: str | None) -> Hidden | None:
        """What an account may not see; ``None`` where it may see nothing, being disabled or gone.

        A subscription of nobody is its operator's: nothing is hidden.
        """
        if owner is None or not self._required:
            return Hidden()
        until, hidden = self._known.get(owner, (0.0, None))
        if time.monotonic() >= until:
            hidden = self._look(owner)
            self._known[owner] = time.monotonic() + LOOK_SECONDS, hidden
        return hidden

    def _look(self, owner: str) -> Hidden | None:
        try:
            user = people.get(self._store, owner)
        except NotFoundError:
            return None
        if user.disabled:
            return None
        scopes = frozenset({READ, ADMIN} if user.admin else {READ})
        principal = Principal(user.name, user.teams, scopes, anonymous=False)
        if principal.admin:
            return Hidden()
        lists = _unseen(principal, self._owners.columns())
        return Hidden(frozenset(_unseen(principal, self._owners.filters())), tuple(sorted(lists)))


def _unseen(principal: Principal, owned: Mapping[str, Owned]) -> list[str]:
    return [name for name, one in owned.items() if not may_see(principal, one.owner, one.team, one.visibility)]
