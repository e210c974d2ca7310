"""Subscribers told: matches taken in, and deliveries sent, by one process or several that share the work."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from broker.deliver.addresses import networks
from broker.deliver.webhook import Webhooks
from broker.errors import TransientError
from broker.store import deliveries, delivery_work
from broker.store.engine import transaction
from broker.store.times import now, to_micros
from broker.telemetry import get_logger
from broker.wiring.deliver_book import Book, Rights
from broker.wiring.deliver_channels import Channels
from broker.wiring.deliver_intake import Intake, follow
from broker.wiring.deliver_readers import watch
from broker.wiring.deliver_send import Senders
from broker.wiring.instance import instance_name
from broker.wiring.parts import Parts

__all__ = ["deliver"]

log = get_logger(__name__)

FORGET_SECONDS: Final = 3600.0
AWAY_SECONDS: Final = 1.0


def deliver(parts: Parts, stop: threading.Event, on_ready: Callable[[], None] = lambda: None) -> None:
    """Tell subscribers of matches until told to stop.

    Parameters
    ----------
    on_ready
        Called once deliveries are being sent.

    Raises
    ------
    Exception
        What a part failed with.
    """
    with instance_name(parts.data) as by:
        _take_back(parts, by, stop)
        if not stop.is_set():
            asyncio.run(_run(parts, by, stop, on_ready))


def _take_back(parts: Parts, by: str, stop: threading.Event) -> None:
    """What the last process of this name had in hand when it died is due at once."""
    while not stop.is_set():
        try:
            with transaction(parts.store) as conn:
                taken = delivery_work.release(conn, by, now())
        except TransientError as error:
            log.warning("deliveries wait for the database", error=str(error))
            stop.wait(AWAY_SECONDS)
            continue
        if taken:
            log.info("deliveries of a process that died are taken over", deliveries=taken)
        return


async def _run(parts: Parts, by: str, stop: threading.Event, on_ready: Callable[[], None]) -> None:
    table = parts.settings.deliver
    book, rights = Book(parts), Rights(parts)
    faults: list[BaseException] = []
    async with Webhooks(networks(table.allow), timeout=table.timeout, max_answer=table.max_answer) as webhooks:
        senders = Senders(parts, book, rights, Channels(parts, webhooks), by)
        intake = Intake(parts, book, rights, senders.wake, by)

        def guarded(job: Callable[[], None]) -> None:
            try:
                job()
            except BaseException as error:  # noqa: BLE001  whatever ends one part ends the process, which then tells why
                faults.append(error)
                stop.set()

        jobs: list[Callable[[], None]] = [
            lambda: follow(parts, intake, stop),
            lambda: _forget(parts, stop),
            lambda: watch(parts, rights, stop),
        ]
        threads = [threading.Thread(target=guarded, args=(job,), name="deliver") for job in jobs]

        def interrupt() -> None:
            stop.wait()
            senders.interrupt()

        threading.Thread(target=interrupt, name="deliver-stop", daemon=True).start()
        for thread in threads:
            thread.start()
        try:
            on_ready()
            await senders.run(stop)
        finally:
            stop.set()
            for thread in threads:
                await asyncio.to_thread(thread.join)
    if faults:
        raise faults[0]


def _forget(parts: Parts, stop: threading.Event) -> None:
    """Give up what waits for too long, and forget old deliveries, now and then."""
    table = parts.settings.deliver
    keep, wait = timedelta(days=table.keep_days), timedelta(days=table.wait_days)
    why = f"it waited for {table.wait_days:g} days (deliver.wait_days) and was not sent"
    while not stop.is_set():
        try:
            late = delivery_work.expire(parts.store, to_micros(datetime.now(UTC) - wait), why)
            if late:
                log.warning("deliveries that waited for too long are given up", deliveries=late)
            gone = delivery_work.forget(parts.store, to_micros(datetime.now(UTC) - keep))
            with transaction(parts.store) as conn:
                deliveries.fold(conn)
        except TransientError as error:
            log.warning("old deliveries are not forgotten yet", error=str(error))
        else:
            if gone:
                log.info("old deliveries are forgotten", deliveries=gone)
        stop.wait(FORGET_SECONDS)
