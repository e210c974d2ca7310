"""Each kind of channel: what is sent on it, and how."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

import polars as pl

from broker.deliver.addresses import check_url, networks
from broker.deliver.card import Card, card, digest_card, test_card
from broker.deliver.message import mark_of, send
from broker.deliver.outcome import Outcome
from broker.deliver.webhook import Webhooks
from broker.errors import NunciusError, UsageError
from broker.science.finding_chart import Source
from broker.store.delivery import Delivery, told_of
from broker.store.subscription import Subscription
from broker.telemetry import get_logger
from broker.wiring import reading
from broker.wiring.deliver_words import message_of
from broker.wiring.deliver_xml import voevent_of
from broker.wiring.neighbours import neighbours
from broker.wiring.parts import Parts

__all__ = ["Channels", "longest"]

log = get_logger(__name__)

MESSAGE_SECONDS: Final = 60.0  # that mail servers and the like may take,
DRAWING_SECONDS: Final = 30.0  # and the pictures


def longest(channel: str, timeout: float) -> float:
    """Seconds that sending one message may take, where a webhook may take `timeout`."""
    return MESSAGE_SECONDS + DRAWING_SECONDS if channel == "message" else timeout


class Channels:
    """Sends one message at a time, as often as it is asked to.

    Parameters
    ----------
    webhooks
        Open.
    """

    def __init__(self, parts: Parts, webhooks: Webhooks) -> None:
        self._parts, self._webhooks = parts, webhooks
        self._allowed = networks(parts.settings.deliver.allow)

    async def send(
        self, one: Subscription, ident: str, some: Sequence[Delivery], held: Callable[[int], None] = lambda _threads: None
    ) -> Outcome:
        """Send a message; whatever goes wrong with it is its outcome.

        Parameters
        ----------
        ident
            Of the message: that of its delivery, or of the digest.
        held
            Told 1 where a thread is left behind that does not come back, and -1 when it has.
        """
        digest = one.digest is not None and some[0].change != "test"
        try:
            if one.channel == "message":
                return await self._message(one, some, held, digest=digest)
            return await self._webhook(one, ident, some, digest=digest)
        except Exception as error:  # whatever stands in one message, the others go on
            log.exception("a delivery failed in our own hands", delivery=ident, subscription=one.id)
            # No thread or memory to be had just now, most likely: what fails each time is given up in time.
            again = not isinstance(error, UsageError)
            return Outcome(False, error=f"it could not be made: {type(error).__name__}: {error}", again=again)

    async def _webhook(self, one: Subscription, ident: str, some: Sequence[Delivery], *, digest: bool) -> Outcome:
        body, kind = message_of(some, digest=digest), "application/json"
        if one.target.get("format") == "voevent" and some[0].change != "test":
            body, kind = voevent_of(some[0], self._parts), "application/xml"
        url = str(one.target["url"])
        outcome = await self._webhooks.post(url, one.secret, ident, body, kind)
        if not outcome.again and outcome.status is None and self._may_be(url):
            # A name that led where we may not go; resolvers that block and portals say such for a while.
            return replace(outcome, again=True)
        return outcome

    def _may_be(self, url: str) -> bool:
        with suppress(UsageError):
            check_url(url, self._allowed)
            return True
        return False

    async def _message(
        self, one: Subscription, some: Sequence[Delivery], held: Callable[[int], None], *, digest: bool
    ) -> Outcome:
        had = told_of(some)
        left = [str(url) for url in one.target["urls"] if mark_of(str(url)) not in had]
        if not left:  # those that did not take it are addresses of it no more
            return Outcome(True)
        first = some[0].attempts % len(left)  # one that takes all the time there is does not stand before the same others again
        left = left[first:] + left[:first]

        def work() -> Outcome:
            outcome = send(left, self._card(one, some, digest=digest), allowed=self._allowed, timeout=MESSAGE_SECONDS)
            return replace(outcome, told=outcome.told | had)

        return await _in_thread(work, MESSAGE_SECONDS + DRAWING_SECONDS, held)

    def _card(self, one: Subscription, some: Sequence[Delivery], *, digest: bool) -> Card:
        if some[0].change == "test":
            return test_card(one.id)
        said: list[dict[str, Any]] = [json.loads(each.body) for each in some]
        if digest:
            return _digest(said)
        alert: dict[str, Any] = said[0]["alert"]
        try:
            return card(said[0], light_curve=self._curve(alert), cutout=self._cutout(alert), sources=self._sources(alert))
        except Exception:
            log.exception("a message goes without its pictures", delivery=some[0].id)
            return card(said[0])

    def _curve(self, alert: dict[str, Any]) -> pl.DataFrame | None:
        if not alert.get("object_id"):
            return None
        with suppress(NunciusError, OSError):  # the message goes without the picture
            return reading.light_curve(self._parts, alert["object_id"])
        return None

    def _cutout(self, alert: dict[str, Any]) -> bytes | None:
        with suppress(NunciusError, OSError):
            return reading.cutout(self._parts, alert["alert_id"], "science")
        return None

    def _sources(self, alert: dict[str, Any]) -> Sequence[Source]:
        if alert.get("ra") is None or alert.get("dec") is None:
            return ()
        with suppress(NunciusError, OSError):
            return neighbours(self._parts, alert["ra"], alert["dec"])
        return ()


def _digest(said: Sequence[dict[str, Any]]) -> Card:
    """Card of several; one that cannot be told is counted, and keeps nobody from the others."""

    def told(some: Sequence[dict[str, Any]]) -> Card:
        return digest_card({"count": len(said), "matches": some})

    def good(one: dict[str, Any]) -> bool:
        with suppress(Exception):
            return bool(told([one]))
        return False

    try:
        return told(said)
    except Exception:
        log.exception("a digest goes without some of its matches")
        return told([one for one in said if good(one)])


async def _in_thread(work: Callable[[], Outcome], seconds: float, held: Callable[[int], None]) -> Outcome:
    """Do work that blocks in a thread of its own; one that takes too long is left alone, and delays nobody.

    A pool of threads would be full one day of those that hang.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Outcome] = loop.create_future()
    left = False

    def settle(outcome: Outcome | None, error: BaseException | None) -> None:
        if left:
            held(-1)
        elif not answer.done():
            if outcome is None:
                answer.set_exception(error or RuntimeError("the thread ended without a word"))
            else:
                answer.set_result(outcome)

    def run() -> None:
        outcome: Outcome | None = None
        failed: BaseException | None = None
        try:
            outcome = work()
        except BaseException as error:  # noqa: BLE001 - told to whoever waits
            failed = error
        with suppress(RuntimeError):  # the loop is gone, and whoever waited
            loop.call_soon_threadsafe(settle, outcome, failed)

    threading.Thread(target=run, name="message", daemon=True).start()
    try:
        async with asyncio.timeout(seconds):
            return await answer
    except TimeoutError:
        left = True
        held(1)
        return Outcome(False, error=f"not sent within {seconds:g} s")
