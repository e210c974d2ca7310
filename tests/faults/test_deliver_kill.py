"""``kill -9`` of ``deliver`` at ten moments: every delivery arrives, signed, beside a subscriber that never answers."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from broker.settings import load
from broker.store import deliveries
from broker.wiring import subscribing
from broker.wiring.parts import open_parts
from tests.running import Installation, install, wait_for
from tests.subscribers import SECRET, failing, publish, receiver, rows_of

KILLS = 10
ROUND = 40  # matches before each kill
FILTER = "ztf_bright_transients"
DELIVER = """
[deliver]
allow = ["127.0.0.0/8"]
backoff = [0.1, 0.2, 0.4]
lease_seconds = 3
timeout = 30
breaker_failures = 50
group = "{}"
"""

ENGINES = ["embedded", pytest.param("kafka", marks=[pytest.mark.kafka, pytest.mark.postgres])]


@pytest.fixture(params=ENGINES)
def nuncius(request: pytest.FixtureRequest, tmp_path: Path) -> Installation:
    if request.param == "embedded":
        return install(tmp_path / "data", more=DELIVER.format("deliver"))
    kafka, store = request.getfixturevalue("own_kafka"), request.getfixturevalue("fresh_postgres")
    return install(tmp_path / "data", kafka=kafka, store=store, more=DELIVER.format("deliver"))


@pytest.mark.timeout(600)
def test_nothing_is_lost_and_nobody_waits_for_who_hangs(nuncius: Installation) -> None:
    rng = random.Random(20261121)
    with receiver(failing(3, 0.2)) as here, open_parts(load(nuncius.config), nuncius.data) as parts:

        def subscribe(path: str) -> str:
            values = {"filters": [FILTER], "channel": "webhook", "target": {"url": here.url(path)}, "secret": SECRET}
            return subscribing.add(parts, values).subscription.id

        def delivered(one: str) -> int:
            return deliveries.counts(parts.store, one).get(one, {}).get("delivered", 0)

        good, bad = subscribe("/good"), subscribe("/hang")
        for number in range(KILLS):
            begun, aim = len(here.tried("/good")), rng.randrange(ROUND)
            publish(parts, FILTER, rows_of(range(number * ROUND, (number + 1) * ROUND)))
            with nuncius.running("deliver") as process:
                # A few of this life are under way: then the axe.
                wait_for(lambda begun=begun, aim=aim: len(here.tried("/good")) > begun + aim, 60, "nothing is sent")
                time.sleep(rng.random() * 0.1)
                process.send_signal(signal.SIGKILL)
                process.wait(10)
        with nuncius.running("deliver") as process:
            wait_for(lambda: delivered(good) == KILLS * ROUND, 120, "the last life does not finish")
            # All of it arrived while the other subscriber held on to what it was sent.
            assert delivered(bad) == 0
            assert here.tried("/hang")
            assert deliveries.counts(parts.store, bad)[bad]["pending"] == KILLS * ROUND
            process.terminate()
            assert process.wait(30) == 0
        kept = {one.id for one in deliveries.listing(parts.store, subscription=good, limit=10_000).items}
        assert len(kept) == KILLS * ROUND
        assert set(here.ids("/good")) == kept
        assert not here.forged
        said = {got.id: got.said for got in here.tried("/good")}
        assert all(one["data"]["delivery_id"] == ident for ident, one in said.items())
