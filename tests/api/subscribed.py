"""A service with subscriptions, as wiring makes it, and deliveries in every state."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from broker.settings import load
from broker.store import delivery_intake, delivery_work
from broker.store.delivery_work import Lease, Settled
from broker.store.engine import Store, transaction
from broker.wiring.parts import Parts, open_parts

SETTINGS = """
filters = "filters"
[store]
durable = false
[log]
durable = false
[deliver]
allow = ["127.0.0.0/8"]
"""
TEXT = 'name = "{}"\nstream = "ztf"\ndescription = "x"\nwhere = "mag < 99"\n'
SECOND = 1_000_000


@contextmanager
def parts_in(folder: Path, settings: str = SETTINGS) -> Iterator[Parts]:
    """Parts over a data folder of their own, in which webhooks may go to this machine."""
    data = folder / "data"
    (data / "filters").mkdir(parents=True)
    (data / "nuncius.toml").write_text(settings)
    with open_parts(load(data / "nuncius.toml"), data) as parts:
        yield parts


def filter_named(client: httpx.Client, name: str, headers: dict[str, str] | None = None, **shared: str) -> None:
    """A filter, as a draft."""
    answer = client.post("/api/v1/filters", json={"text": TEXT.format(name), **shared}, headers=headers)
    assert answer.status_code == 201, answer.text


def webhook(*filters: str, url: str = "http://127.0.0.1:9/hook", **more: object) -> dict[str, object]:
    """What is asked of a subscription by webhook."""
    return {"filters": filters, "channel": "webhook", "target": {"url": url}, **more}


def now() -> int:
    """Microseconds, UTC."""
    return time.time_ns() // 1000


def pending(store: Store, subscription: str, *alerts: str, received: int | None = None) -> list[str]:
    """Deliveries of matches that wait; their ids."""
    at = now()
    rows = [
        delivery_intake.Made(
            subscription,
            "bright",
            "1",
            alert,
            f"object of {alert}",
            "match",
            None,
            None,
            json.dumps({"filter": "bright", "alert": {"alert_id": alert}}),
            at if received is None else received,
            at + number,
            at,
        )
        for number, alert in enumerate(alerts)
    ]
    with transaction(store) as conn:
        delivery_intake.write(conn, rows, "tests")
    return [row.id for row in rows]


def settled(store: Store, subscription: str, idents: list[str], *, ok: bool, done: int | None = None) -> None:
    """Take deliveries as a sender does, and settle them: acknowledged, or given up."""
    at = now()
    with transaction(store) as conn:
        taken = delivery_work.take(conn, subscription, 1000, Lease("tests", at, at + 60 * SECOND))
        others = [one.id for one in taken if one.id not in idents]
        status, error = (204, "") if ok else (500, "answered 500 Internal Server Error: <b>no</b>")
        ends = done or at
        outcomes = [Settled(ident, "tests", ok, at, ends, None, status, error) for ident in idents]
        delivery_work.settle(conn, outcomes)
        delivery_work.release(conn, "tests", at, others)
