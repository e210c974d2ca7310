"""One subscription on its way: what is in hand of it, how many at once, and when to look for more."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from broker.deliver.pace import Breaker, is_quiet, quiet_end
from broker.store.delivery import Delivery
from broker.store.subscription import ACTIVE, Subscription

__all__ = ["Lane", "Parcel", "Want"]

AHEAD: Final = 4  # parcels in hand for each that may be under way: the next is there when one is through


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message in hand: the id that it goes under, and the deliveries in it."""

    id: str
    deliveries: Sequence[Delivery]


@dataclass(frozen=True, slots=True)
class Want:
    """What is looked for: so many of a subscription, or only tests of it."""

    subscription: Subscription
    most: int
    tests: bool


@dataclass(slots=True)
class Lane:
    """A subscription as this process serves it.

    Parameters
    ----------
    window
        How many may be under way: one at first and after a failure, one more with each that arrives, up to the bound. So who
        hangs has few in hand.
    look
        When there may be something due; ``None`` where nothing is known to wait.
    fresh
        Whether something was put there by hand since: a test goes out whatever the hour.
    behind
        Whether something that is due waits for what is on its way.
    stuck
        Threads that do not come back.
    started
        When the last was sent, by the clock of this process, seconds.
    """

    subscription: Subscription
    breaker: Breaker
    most: int
    window: int = 1
    look: datetime | None = None
    fresh: bool = True
    held: deque[Parcel] = field(default_factory=deque)
    flying: dict[str, Parcel] = field(default_factory=dict)
    behind: bool = False
    stuck: int = 0
    started: float = 0.0

    @property
    def proven(self) -> bool:
        """Whether the last that was sent arrived."""
        return self.breaker.failures == 0 and self.window > 1

    def resting(self, now: datetime) -> bool:
        """Whether only tests go out now."""
        return self.subscription.state != ACTIVE or is_quiet(now, self.subscription.quiet)

    def may_start(self, now: datetime) -> bool:
        """Whether one more may be sent."""
        if not self.held or len(self.flying) + self.stuck >= self.window:
            return False
        number, _ = self.breaker.room(now, len(self.flying))
        return number is None or number > 0

    def want(self, now: datetime) -> Want | None:
        """What to look for now, if anything; whoever looks says in `look` when to look again, unless it is set meanwhile."""
        if self.look is None or self.look > now:
            return None
        if self.resting(now) and not self.fresh:
            self.look = quiet_end(now, self.subscription.quiet) if self.subscription.state == ACTIVE else None
            return None
        space = self._space()
        number, when = self.breaker.room(now, len(self.flying) + len(self.held))
        if number is not None:
            space = min(space, number)
            self.look = when or self.look
        if space <= 0:
            return None
        tests = self.resting(now)
        self.look, self.fresh = None, False
        return Want(self.subscription, space, tests)

    def _space(self) -> int:
        """How many more to hold."""
        if self.subscription.rate is not None:
            # None ahead: those of a minute are counted from when they are taken, and so all that are taken begin.
            return max(0, self.window - len(self.flying) - self.stuck - len(self.held))
        ahead = self.window * (AHEAD if self.subscription.digest is None else 1)  # a digest has hundreds of deliveries
        return ahead - len(self.held) if len(self.held) <= ahead // 2 else 0

    def seen(self, look: datetime | None, *, behind: bool) -> None:
        """What a look said: when to look again, unless it is to be sooner already."""
        self.behind = behind
        if look is not None:
            self.sooner(look)

    def sooner(self, look: datetime) -> None:
        """Look then, unless it is to be sooner already."""
        self.look = look if self.look is None else min(look, self.look)

    def note(self, now: datetime, *, ok: bool) -> None:
        """What came of a message."""
        self.breaker.note(now, ok=ok)
        self.window = min(self.window + 1, self.most) if ok else 1

    def in_hand(self) -> list[str]:
        """Ids of all deliveries held and under way."""
        return [one.id for parcel in (*self.held, *self.flying.values()) for one in parcel.deliveries]

    def add(self, parcels: Sequence[Parcel]) -> None:
        """Hold some more, without what is in hand: a lease that ended meanwhile has us take it from ourselves."""
        there = frozenset(self.in_hand())
        self.held += [one for one in parcels if there.isdisjoint(each.id for each in one.deliveries)]

    def lose(self, idents: frozenset[str]) -> list[str]:
        """Let go of what others have taken over, or is to be told no more, as far as it was not begun.

        Returns
        -------
        list of str
            Ids of what was to go in one message with some of that: it is held no more, and to be given back.
        """
        gone = [one for one in self.held if not idents.isdisjoint(each.id for each in one.deliveries)]
        self.held = deque(one for one in self.held if one not in gone)
        return [each.id for one in gone for each in one.deliveries if each.id not in idents]

    def let_go(self) -> list[str]:
        """Ids of what was held and not begun, which is held no more."""
        idents = [one.id for parcel in self.held for one in parcel.deliveries]
        self.held.clear()
        return idents
