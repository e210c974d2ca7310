"""``kill -9`` of ``process`` at ten moments: nothing lost, nothing doubled, for a read_committed reader."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from broker import topics
from broker.errors import TransientError
from broker.record import Message, header
from broker.settings import load
from broker.simulate import ztf
from broker.store import alerts, ledger
from broker.stream.log import Log
from broker.wiring import reading
from broker.wiring.parts import Parts, open_parts
from tests.running import Installation, install, wait_for

KILLS = 10
ROUND = 240  # packets before each kill

ENGINES = ["embedded", pytest.param("kafka", marks=[pytest.mark.kafka, pytest.mark.postgres])]


@pytest.fixture(params=ENGINES)
def nuncius(request: pytest.FixtureRequest, tmp_path: Path) -> Installation:
    if request.param == "embedded":
        return install(tmp_path / "data")
    kafka, store = request.getfixturevalue("own_kafka"), request.getfixturevalue("fresh_postgres")
    return install(tmp_path / "data", kafka=kafka, store=store)


def published(log: Log, wait: float = 2.0) -> list[str]:
    """Alert ids on alerts.ztf, as a read_committed reader gets them."""
    ids: list[str] = []
    if topics.alerts("ztf") not in log.topics():
        return ids
    with closing(log.consumer(None, [topics.alerts("ztf")])) as consumer:
        while records := consumer.poll(5000, 64 << 20, wait):
            ids += [header(record, topics.HEADER_ALERT_ID) or "" for record in records]
    return ids


@pytest.mark.timeout(600)
def test_nothing_is_lost_or_doubled(nuncius: Installation) -> None:
    rng = random.Random(20261121)
    packets = list(ztf.packets(5, KILLS * ROUND, datetime(2026, 11, 21, 4, tzinfo=UTC), cutouts=False, history=3))
    with open_parts(load(nuncius.config), nuncius.data) as parts:
        for number in range(KILLS):
            some = packets[number * ROUND : (number + 1) * ROUND]
            parts.log.append([Message(topics.raw("ztf"), packet.data) for packet in some])
            # At least one batch of this life is under way, or a few are done: then the axe.
            aim = rng.randrange(ROUND)
            with nuncius.running("process") as process:
                begun = rows(parts)
                wait_for(lambda begun=begun, aim=aim: rows(parts) >= begun + aim or waiting(parts) == 0, 60, "no progress")
                time.sleep(rng.random() * 0.1)
                process.send_signal(signal.SIGKILL)
                process.wait(10)
        with nuncius.running("process") as process:
            wait_for(lambda: rows(parts) == len(packets) and waiting(parts) == 0, 90, "the last life does not finish")
            process.terminate()
            assert process.wait(30) == 0
        ids = Counter(published(parts.log))
        expected = {f"ztf:{packet.name}": packet.data for packet in packets}
        assert set(ids) == set(expected)
        assert set(ids.values()) == {1}
        for alert_id in rng.sample(sorted(expected), 50):
            assert reading.packet(parts, alert_id) == expected[alert_id]
            assert alerts.get(parts.store, alert_id)["object_id"].startswith("ZTF")
    status = nuncius.json("status", "--json")
    assert status["faults"] == []
    assert status["ledger"]["streams"]["ztf"] == {
        "received": len(packets), "published": len(packets), "duplicate": 0, "rejected": 0,
        "matched": status["ledger"]["streams"]["ztf"]["matched"],
    }  # fmt: skip


def rows(parts: Parts) -> int:
    """Alerts the ledger has as published."""
    return ledger.totals(parts.store).overall.published


def waiting(parts: Parts) -> int:
    """Raw records the group has yet to read; unknown counts as some."""
    try:
        lag = parts.log.group_lag(parts.settings.process.group)
    except TransientError:
        return 1
    return sum(behind for place, behind in lag.items() if place.topic == topics.raw("ztf")) if lag else 1
