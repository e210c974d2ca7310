"""Sends what is due: each subscription on its own, so that one that is dead or slow delays nobody else.

All decisions are made on one event loop; the database is asked in turns, in a thread, one at a time: outcomes of the last
turn are kept and more is taken in one transaction. Longer than 300 lines, since the loop reads only whole.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import chain
from math import inf
from time import monotonic
from typing import Final

from broker.deliver.outcome import Outcome
from broker.deliver.pace import Breaker, next_try
from broker.errors import TransientError
from broker.settings import DeliverTable
from broker.store import deliveries, delivery_work
from broker.store.deliveries import Signs
from broker.store.delivery import told_of
from broker.store.delivery_work import Settled
from broker.store.engine import transaction
from broker.store.subscription import ACTIVE
from broker.store.times import now as micros_now
from broker.store.times import to_micros
from broker.telemetry import BREAKERS, DELIVERIES, DELIVERY_SECONDS, get_logger
from broker.wiring.deliver_book import Book, Rights
from broker.wiring.deliver_channels import Channels
from broker.wiring.deliver_lane import Lane, Parcel
from broker.wiring.deliver_turn import Asked, Found, GiveUp, looks, turn
from broker.wiring.parts import Parts

__all__ = ["Senders"]

log = get_logger(__name__)

TURN_SECONDS: Final = 0.02  # between turns that only keep outcomes
SIGN_SECONDS: Final = 1.0  # between looks whether another process has put something there
AWAY_SECONDS: Final = 1.0  # until a database that is away is asked again
LEAVING_SECONDS: Final = 5.0  # for what is under way, once told to stop


class Senders:
    """The senders of this process.

    Parameters
    ----------
    by
        Name of the process: what it holds is known by it.
    """

    def __init__(self, parts: Parts, book: Book, rights: Rights, channels: Channels, by: str) -> None:
        self._parts, self._book, self._rights, self._channels, self._by = parts, book, rights, channels, by
        self._table: DeliverTable = parts.settings.deliver
        self._lanes: dict[str, Lane] = {}
        self._leaving: dict[str, Lane] = {}  # removed, with something under way
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()
        self._urgent = True
        self._outcomes: list[Settled] = []
        self._release: list[str] = []
        self._give_up: list[GiveUp] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._flying = 0
        self._unproven = 0
        self._signs: Signs | None = None
        self._looked = -SIGN_SECONDS
        self._renewed = monotonic()

    def wake(self, first: Mapping[str, int]) -> None:
        """Something is due at these instants (microseconds), by subscription; called from any thread."""
        with suppress(RuntimeError):  # the loop is gone: another process will find it
            self._loop.call_soon_threadsafe(self._woken, dict(first))

    def interrupt(self) -> None:
        """Have `run` look whether it is to stop; called from any thread."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._event.set)

    def _woken(self, first: Mapping[str, int]) -> None:
        for ident, due in first.items():
            lane, when = self._lanes.get(ident), datetime.fromtimestamp(due / 1e6, UTC)
            if lane is None:
                self._looked = -SIGN_SECONDS  # one that we have not heard of
            elif lane.look is None or when < lane.look:
                lane.look = when
        self._urgent = True
        self._event.set()

    async def run(self, stop: threading.Event) -> None:
        """Send until told to stop; then wait a little for what is under way, and give back the rest."""
        while not stop.is_set():
            try:
                await self._turn()
            except TransientError as error:
                log.warning("deliveries wait for the database", error=str(error))
                self._signs, self._looked = None, -SIGN_SECONDS  # nothing was taken: all is looked at again
                self._renewed = -inf  # and what is in hand is held on to first
                await self._pause(AWAY_SECONDS)
                continue
            await self._pause(self._until_next())
        await self._leave()

    async def _turn(self) -> None:
        self._urgent = False
        await self._look()
        asked, lanes = self._asked(), dict(self._lanes)
        if asked is not None:
            count = len(asked.outcomes), len(asked.release), len(asked.give_up)
            found = await asyncio.to_thread(turn, self._parts, self._rights, self._by, asked)
            del self._outcomes[: count[0]], self._release[: count[1]], self._give_up[: count[2]]
            self._have(found, lanes)
        self._start_all()

    async def _look(self) -> None:
        """See what has changed about subscriptions, and whether others have put something there."""
        if monotonic() - self._looked < SIGN_SECONDS:
            return
        signs = await asyncio.to_thread(deliveries.signs, self._parts.store, self._by)
        if self._signs is None or signs.subscriptions != self._signs.subscriptions:
            await self._reread()
        if self._signs is None or signs.by_hand != self._signs.by_hand or signs.subscriptions != self._signs.subscriptions:
            for lane in self._lanes.values():
                lane.look = datetime.now(UTC)
                lane.fresh |= self._signs is None or signs.by_hand != self._signs.by_hand
        elif signs != self._signs:  # only those of whom something waits: there may be a thousand others
            found = await asyncio.to_thread(looks, self._parts)
            for ident in found.keys() & self._lanes.keys():
                self._lanes[ident].sooner(found[ident])
        self._signs, self._looked = signs, monotonic()

    async def _reread(self) -> None:
        there = (await asyncio.to_thread(self._book.now)).by_id
        for ident in self._lanes.keys() - there.keys():
            lane = self._lanes.pop(ident)
            self._release += lane.let_go()
            if lane.flying:
                self._leaving[ident] = lane
        for ident, one in there.items():
            if ident not in self._lanes:
                breaker = Breaker(self._table.breaker_failures, timedelta(seconds=self._table.breaker_seconds))
                self._lanes[ident] = Lane(one, breaker, self._table.concurrency)
            elif (lane := self._lanes[ident]).subscription != one:
                # What is held was taken by what held then; a new address is no longer the one that failed.
                self._release += lane.let_go()
                if lane.subscription.target != one.target or (lane.subscription.state, one.state) == ("paused", ACTIVE):
                    lane.breaker.note(datetime.now(UTC), ok=True)
                lane.subscription = one

    def _asked(self) -> Asked | None:
        now = datetime.now(UTC)
        wants = [want for lane in self._lanes.values() if (want := lane.want(now)) is not None]
        renew: list[str] = []
        if monotonic() - self._renewed > self._table.lease_seconds / 3:
            renew = [one for lane in (*self._lanes.values(), *self._leaving.values()) for one in lane.in_hand()]
            self._renewed = monotonic()
        if not (wants or renew or self._outcomes or self._release or self._give_up):
            return None
        return Asked(tuple(self._outcomes), wants, renew, tuple(self._release), tuple(self._give_up))

    def _have(self, found: Found, lanes: Mapping[str, Lane]) -> None:
        self._lose(found.lost)
        for ident, parcels in found.parcels.items():
            lane = self._lanes.get(ident)
            if lane is None or lane is not lanes.get(ident):
                self._release += [one.id for parcel in parcels for one in parcel.deliveries]
                continue
            lane.add(parcels)
        # What was cancelled before it was begun is in the way of nothing.
        self._release += found.lost.difference(*(each.in_hand() for each in (*self._lanes.values(), *self._leaving.values())))
        for ident, look in found.look.items():
            lane = self._lanes.get(ident)
            if lane is not None:
                lane.seen(look, behind=ident in found.behind)
        # What was looked at may have waited for what has arrived, or was let go, since: nobody tells of that again.
        if self._outcomes or self._release:
            self._look_again([lane for ident, lane in self._lanes.items() if ident in found.behind])
        if found.stale:
            self._looked, self._urgent = -SIGN_SECONDS, True
            self._event.set()
        if found.given_up:
            log.warning("deliveries are given up unsent: their receiver has not answered for long", deliveries=found.given_up)
        BREAKERS.set(sum(lane.breaker.open for lane in self._lanes.values()))

    def _lose(self, idents: frozenset[str]) -> None:
        """Let go of what is ours no more: what was to go with it is given back, and what may have waited for it looked at."""
        lanes = list(self._lanes.values())
        rest = [each.lose(idents) for each in lanes]
        self._release += chain.from_iterable(rest)
        self._look_again([lane for lane, some in zip(lanes, rest, strict=True) if some or (idents and lane.behind)])

    def _look_again(self, lanes: Iterable[Lane]) -> None:
        """Look at once, in the turn in which what has come meanwhile is kept."""
        for lane in lanes:
            lane.look = datetime.now(UTC)
            self._event.set()

    def _start_all(self) -> None:
        """Start what may start, a parcel of each in turn, so that those with many do not take all there is room for.

        Who has waited longest begins: who hangs does not stand before the others again.
        """
        now = datetime.now(UTC)
        lanes = sorted((lane for lane in self._lanes.values() if lane.held), key=lambda lane: lane.started)
        while lanes and self._flying < self._table.total:
            lanes = [lane for lane in lanes if self._start(lane, now)]

    def _start(self, lane: Lane, now: datetime) -> bool:
        # Those of whom it is not known that they answer share half of all there is room for.
        unproven = not lane.proven
        crowded = self._flying >= self._table.total or (unproven and self._unproven >= max(1, self._table.total // 2))
        if crowded or not lane.may_start(now):
            return False
        if lane.resting(now) and lane.held[0].deliveries[0].change != "test":
            self._release += lane.let_go()
            lane.look = now
            self._event.set()
            return False
        parcel = lane.held.popleft()
        lane.flying[parcel.id], lane.started = parcel, monotonic()
        self._flying += 1
        self._unproven += unproven
        task = asyncio.create_task(self._send(lane, parcel, unproven=unproven))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _send(self, lane: Lane, parcel: Parcel, *, unproven: bool) -> None:
        def held(threads: int) -> None:
            lane.stuck += threads

        began = micros_now()
        try:
            outcome = await self._channels.send(lane.subscription, parcel.id, parcel.deliveries, held)
        finally:
            self._flying -= 1
            self._unproven -= unproven
            lane.flying.pop(parcel.id, None)
            if not lane.flying:
                self._leaving.pop(lane.subscription.id, None)
        self._note(lane, parcel, outcome, began)
        if self._flying + 1 >= self._table.total or self._unproven + 1 >= self._table.total // 2:
            self._start_all()  # there is room again, for whoever has waited for it
        else:
            while lane.held and self._start(lane, datetime.now(UTC)):
                pass
        self._event.set()

    def _note(self, lane: Lane, parcel: Parcel, outcome: Outcome, began: int) -> None:
        now, done, one, had = datetime.now(UTC), micros_now(), lane.subscription, told_of(parcel.deliveries)
        # One bad address of several holds nothing back of what the others are to have.
        reached = outcome.ok or bool(outcome.told - had)
        if reached or not had:
            lane.note(now, ok=reached)
        digest = parcel.id if parcel.id != parcel.deliveries[0].id else None
        # One instant for all of a digest: it is sent again as it was.
        due = None if outcome.ok or not outcome.again else self._next(now, parcel, outcome)
        became = "delivered" if outcome.ok else "failed" if due is None else "retried"
        if lane.behind:  # what waited for this may go out
            lane.look = now
        elif due is not None and (lane.look is None or due < lane.look):
            lane.look = due
        when = None if due is None else to_micros(due)
        told = None if outcome.ok else " ".join(sorted(outcome.told)) or None
        for each in parcel.deliveries:
            DELIVERIES.labels(one.channel, became).inc()
            if outcome.ok and each.change != "test":
                DELIVERY_SECONDS.labels(one.channel).observe(max(0.0, done / 1e6 - each.received.timestamp()))
            self._outcomes.append(
                Settled(each.id, self._by, outcome.ok, began, done, when, outcome.status, outcome.error, digest, told)
            )
        if not outcome.ok:
            log.info("a delivery failed", delivery=parcel.id, subscription=one.id, status=outcome.status, error=outcome.error)
        if not (reached or had):
            self._failed(lane, outcome, now)

    def _failed(self, lane: Lane, outcome: Outcome, now: datetime) -> None:
        breaker, ident = lane.breaker, lane.subscription.id
        if breaker.failures == breaker.limit:
            self._release += lane.let_go()
            lane.look = breaker.probe
            log.warning("a subscription does not answer: one probe now and then", subscription=ident, error=outcome.error)
        patience = timedelta(hours=self._table.give_up_hours)
        if breaker.open and breaker.since is not None and now - breaker.since > patience:
            why = (
                f"given up unsent: the receiver has failed since {breaker.since:%Y-%m-%dT%H:%M:%SZ}, last with: {outcome.error}"
            )
            self._give_up.append(GiveUp(ident, now - patience, why))

    def _next(self, now: datetime, parcel: Parcel, outcome: Outcome) -> datetime | None:
        return next_try(
            now,
            min(one.begun or now for one in parcel.deliveries),
            max(one.attempts for one in parcel.deliveries) + 1,
            schedule=self._table.backoff,
            give_up=timedelta(hours=self._table.give_up_hours),
            chance=random.random(),  # noqa: S311 - to spread them, no more
            retry_after=outcome.retry_after,
        )

    def _until_next(self) -> float:
        """Seconds until there is something to do that nobody tells us of."""
        now = datetime.now(UTC)
        looks = [
            (lane.look - now).total_seconds() for lane in self._lanes.values() if lane.look is not None and lane.look > now
        ]
        return max(0.0, min([SIGN_SECONDS, *looks]))

    async def _pause(self, seconds: float) -> None:
        """Wait so long, or until something has happened; what is urgent at once, outcomes a few at a time."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
                if not self._urgent:
                    await asyncio.sleep(TURN_SECONDS)
        except TimeoutError:
            pass
        self._event.clear()

    async def _leave(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LEAVING_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

        def settle() -> None:
            with transaction(self._parts.store) as conn:
                delivery_work.settle(conn, self._outcomes)
                delivery_work.release(conn, self._by, micros_now())

        try:
            await asyncio.to_thread(settle)
        except TransientError as error:  # what was sent is sent again once its lease has ended
            log.warning("outcomes of the last deliveries could not be kept", error=str(error))
