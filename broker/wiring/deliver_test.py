"""Trying a subscription out by hand: a delivery that is sent here and now."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from broker.deliver.addresses import networks
from broker.deliver.webhook import Webhooks
from broker.errors import UsageError
from broker.store import deliveries, subscriptions
from broker.store.delivery import Delivery
from broker.store.delivery_work import Settled, settle
from broker.store.engine import transaction
from broker.store.times import now
from broker.wiring.deliver_channels import Channels, longest
from broker.wiring.parts import Parts

__all__ = ["try_out"]


def try_out(parts: Parts, ident: str) -> Delivery:
    """Send a test to a subscription, once, and tell what came of it. No other process need run.

    Raises
    ------
    NotFoundError
        There is no such subscription.
    ConflictError
        It was removed.
    UsageError
        Nothing is sent to it.
    """
    one = subscriptions.get(parts.store, ident)
    if one.channel == "kafka":
        raise UsageError(f"subscription {ident} is read from Kafka: nothing is sent that could be tried out")
    table, by = parts.settings.deliver, f"test-{now()}"
    made = deliveries.add_test(parts.store, ident, by=by, seconds=longest(one.channel, table.timeout) + table.lease_seconds)

    async def send() -> None:
        async with Webhooks(networks(table.allow), timeout=table.timeout, max_answer=table.max_answer) as webhooks:
            began = now()
            outcome = await Channels(parts, webhooks).send(one, made.id, [made])
            came = Settled(made.id, by, outcome.ok, began, now(), None, outcome.status, outcome.error)
            with transaction(parts.store) as conn:
                settle(conn, [came])

    with ThreadPoolExecutor(1) as pool:  # whoever calls may have a loop of their own
        pool.submit(asyncio.run, send()).result()
    return deliveries.get(parts.store, made.id)
