"""VOEvents over TCP to subscribers: every one gets every event its filters let through, and delays nobody else.

What is to go out at one time is written at once to who has no filters; what others' filters let through follows when they have
been asked, see `broker.deliver.vtp_filters`. Acknowledgements are counted, not parsed. One who does not acknowledge, does not
answer, or does not read is dropped; there is no queue of its own to fill beyond the connection's buffer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from broker.deliver.vtp_filters import FILTER_SECONDS, Answer, Asking, Refused
from broker.deliver.vtp_subscriber import LINGER_SECONDS, Batch, Links, Rules, Subscriber
from broker.telemetry import get_logger
from broker.vtp import pack

__all__ = ["Broadcaster", "Rules"]

log = get_logger(__name__)

ALL_SECONDS = 5.0  # of processor time, for all filters over the events of one time; less the more times wait
TOGETHER_BYTES = 8 << 20  # of events that are asked about at one time
WAITING_BYTES = 64 << 20  # of events that wait for filters


@dataclass(slots=True)
class _Waiting:
    """Events, and who gets those that its filters let through: its filters at the time, for it may change them."""

    batch: Batch
    wanted: dict[Subscriber, tuple[str, ...]]


class Broadcaster:
    """All subscribers of one port."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.links = Links(rules, self._trial, lambda one, batch: self._queue(batch, {one: one.filters}))
        self._newcomers, self._known = Asking(), Asking()
        self._refused = Refused()
        self._waiting: deque[_Waiting] = deque()
        self._some = asyncio.Event()
        self._costs: dict[str, float] = {}  # seconds, the last time
        self.filtering: asyncio.Task[None] | None = None

    @property
    def subscribers(self) -> set[Subscriber]:
        """Those that get events."""
        return self.links.subscribers

    async def serve(self, host: str, port: int) -> asyncio.Server:
        """Listen for subscribers, and filter for them."""
        loop = asyncio.get_running_loop()
        self.filtering = loop.create_task(self._filter())
        return await loop.create_server(lambda: Subscriber(self.links), host, port)

    async def send(self, events: Sequence[bytes]) -> None:
        """Hand VOEvents to whoever wants all; returns when the connections have them, not when they arrive."""
        batch = Batch(tuple(events), tuple(map(pack, events)))
        everything = b"".join(batch.frames)
        wanted: dict[Subscriber, tuple[str, ...]] = {}
        for subscriber in list(self.subscribers):
            if subscriber.hold(batch):
                continue
            if subscriber.filters:
                wanted[subscriber] = subscriber.filters
            else:
                subscriber.write(everything, len(events))
        if wanted:
            self._queue(batch, wanted)
        await asyncio.sleep(0)

    async def ask(self) -> None:
        """Ask every subscriber, for ever, whether it lives."""
        while True:
            await asyncio.sleep(self.rules.alive_seconds)
            for subscriber in list(self.subscribers):
                subscriber.ask()

    async def close(self) -> None:
        """End all connections."""
        for subscriber in list(self.subscribers):
            subscriber.drop("we are going down")
        if self.filtering is not None:
            self.filtering.cancel()
            with suppress(asyncio.CancelledError):
                await self.filtering
        await self._known.close()
        await self._newcomers.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while self.links.open:  # noqa: ASYNC110  once, when all is over
                    await asyncio.sleep(0.01)
        for each in list(self.links.open):
            each.abort()

    async def _trial(self, filters: tuple[str, ...]) -> str:
        """Ask filters about nothing, which shows whether they can be asked at all."""
        if known := self._refused.reason(filters):
            return known
        faults = []
        async for answer in self._newcomers.ask(filters, (), FILTER_SECONDS):
            if answer.fault:
                self._remember(answer)
                faults.append(answer.fault)
        return faults[0] if faults else ""

    def _queue(self, batch: Batch, wanted: Mapping[Subscriber, tuple[str, ...]]) -> None:
        last = self._waiting[-1] if self._waiting else None
        if last is not None and last.wanted == wanted and last.batch.size + batch.size < TOGETHER_BYTES:
            last.batch = Batch(last.batch.events + batch.events, last.batch.frames + batch.frames)
        elif sum(each.batch.size for each in self._waiting) > WAITING_BYTES:
            for subscriber in wanted:
                subscriber.refuse("there is no time for all filters: ask for less, or come again")
        else:
            self._waiting.append(_Waiting(batch, dict(wanted)))
            self._some.set()

    async def _filter(self) -> None:
        """For ever: ask the filters about what waits."""
        while True:
            await self._some.wait()
            self._some.clear()
            while self._waiting:
                await self._pass(self._waiting.popleft())

    async def _pass(self, waiting: _Waiting) -> None:
        """Write to each what its filters let through, as soon as all of them have been asked.

        Those that took least the last time are asked first and newcomers in the end: who is left when the time is over is who
        has used it up.
        """
        wanted = {one: filters for one, filters in waiting.wanted.items() if one in self.subscribers}
        texts = {text for filters in wanted.values() for text in filters}
        inverse: dict[tuple[str, ...], list[Subscriber]] = {}
        for one, filters in wanted.items():
            inverse.setdefault(filters, []).append(one)
        passed: dict[str, frozenset[int]] = {}
        order = sorted(texts, key=lambda text: (self._costs.get(text, FILTER_SECONDS), text))
        seconds = max(FILTER_SECONDS, ALL_SECONDS / (1 + len(self._waiting)))
        costs = {text: cost for text, cost in self._costs.items() if any(text in one.filters for one in self.subscribers)}
        async for answer in self._known.ask(order, waiting.batch.events, seconds):
            if answer.fault:
                self._remember(answer)
                for one in [each for each, filters in wanted.items() if answer.text in filters]:
                    one.refuse(answer.fault)
                continue
            costs[answer.text] = answer.seconds
            passed[answer.text] = answer.passed
            for filters in [each for each in inverse if passed.keys() >= set(each)]:
                self._write(waiting.batch, frozenset().union(*(passed[text] for text in filters)), inverse.pop(filters))
        self._costs = costs

    def _write(self, batch: Batch, numbers: frozenset[int], to: Sequence[Subscriber]) -> None:
        some = b"".join(batch.frames[number] for number in sorted(numbers))
        for one in to:
            one.write(some, len(numbers))

    def _remember(self, answer: Answer) -> None:
        if answer.lasting:
            self._refused.add(answer.text, answer.fault)
