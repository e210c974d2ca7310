"""A filter changed twenty times under load: no match lost, none doubled, each stamped with the version that made it."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import pytest
from sqlalchemy import select

from broker import topics
from broker.errors import TransientError
from broker.record import Message, header
from broker.settings import load
from broker.simulate import ztf
from broker.store import filter_life, filters, ledger, tables
from broker.store.engine import connection
from broker.stream.log import Log
from broker.wiring.parts import Parts, open_parts
from tests.running import Installation, install, wait_for

CHANGES = 20
ROUND = 100  # alerts done between two changes, at least: more than two batches, one of which may be under way
MOST = 20_000
LIMITS = (16.0, 17.0, 18.0, 18.5, 19.0)

WAYS = [  # by an edited file, or through the API's own functions; each takes a minute
    ("embedded", "database"),
    pytest.param(("kafka", "file"), marks=[pytest.mark.kafka, pytest.mark.postgres]),
]


@pytest.fixture(params=WAYS, ids="-".join)
def nuncius(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Installation, str]:
    (tmp_path / "data" / "filters").mkdir(parents=True)
    engine, how = request.param
    if engine == "embedded":
        return install(tmp_path / "data"), how
    kafka, store = request.getfixturevalue("own_kafka"), request.getfixturevalue("fresh_postgres")
    return install(tmp_path / "data", kafka=kafka, store=store), how


def text(number: int) -> str:
    """Version `number`: every one picks every alert, so that none may be missing, and says which it is."""
    return (
        f'name = "all"\nversion = {number}\nstream = "ztf"\ndescription = "All, {number}"\n'
        f'where = "mag > 0 AND {number} = {number}"\nselect = ["{number} * 1 AS made_by"]\n'
    )


def narrow(number: int) -> str:
    """Version `number` of a filter whose limit changes: what it picked must be what that version picks."""
    limit = LIMITS[number % len(LIMITS)]
    where = f"mag < {limit} AND {number} > 0"
    return f'name = "narrow"\nversion = {number}\nstream = "ztf"\ndescription = "{number}"\nwhere = "{where}"\n'


def published(log: Log, topic: str) -> list[tuple[str, int]]:
    """Alert ids and versions on a topic, as a read_committed reader gets them."""
    found: list[tuple[str, int]] = []
    if topic not in log.topics():
        return found
    with closing(log.consumer(None, [topic])) as consumer:
        while records := consumer.poll(5000, 64 << 20, 2.0):
            names = (topics.HEADER_ALERT_ID, topics.HEADER_FILTER_VERSION)
            heads = [[header(one, name) or "0" for name in names] for one in records]
            found += [(alert_id, int(version)) for alert_id, version in heads]
    return found


def kept(parts: Parts, name: str) -> list[tuple[str, int]]:
    match = tables.matches.c
    with connection(parts.store) as conn:
        rows = conn.execute(select(match.alert_id, match.version, match.selected).where(match.filter == name))
        return [(row.alert_id, int(row.version)) for row in rows]


def sent(parts: Parts) -> list[tuple[int, int]]:
    match = tables.matches.c
    with connection(parts.store) as conn:
        rows = conn.execute(select(match.version, match.selected).where(match.filter == "all"))
        return [(int(row.version), int(json.loads(row.selected)["made_by"])) for row in rows]


def waiting(parts: Parts) -> int:
    try:
        lag = parts.log.group_lag(parts.settings.process.group)
    except TransientError:
        return 1
    return sum(behind for place, behind in lag.items() if place.topic == topics.raw("ztf")) if lag else 1


@pytest.mark.timeout(400)
def test_twenty_changes(nuncius: tuple[Installation, str]) -> None:
    service, how = nuncius
    folder = service.data / "filters"
    config = service.config.read_text()
    service.config.write_text(f'filters = "filters"\n{config}[backtest]\nmost_share = 1.0\n')
    for make in (text, narrow):
        (folder / f"{make.__name__}.toml").write_text(make(1))
    everyone: set[str] = set()
    with open_parts(load(service.config), service.data) as parts, service.running("process") as process:
        stop = threading.Event()
        feeder = threading.Thread(target=feed, args=(parts, everyone, stop))
        feeder.start()
        try:
            wait_for(lambda: rows(parts) >= ROUND, 90, "no progress")
            for number in range(2, CHANGES + 2):
                change(parts, folder, number, how)
                done = rows(parts)
                wait_for(lambda done=done: rows(parts) >= done + ROUND, 90, "no progress")
        finally:
            stop.set()
            feeder.join()
        wait_for(lambda: rows(parts) == len(everyone) and waiting(parts) == 0, 120, "the rest is not done")
        process.terminate()
        assert process.wait(30) == 0
        told, there = published(parts.log, topics.matched("all")), kept(parts, "all")
        assert Counter(alert_id for alert_id, _ in told) == Counter(everyone)  # none lost, none doubled
        assert sorted(told) == sorted(there)
        assert all(version == made_by for version, made_by in sent(parts))
        assert len({version for _, version in told}) == CHANGES + 1  # the changes did take effect on the way
        mags = magnitudes(parts)
        picked = dict(published(parts.log, topics.matched("narrow")))
        assert sorted(picked.items()) == sorted(kept(parts, "narrow"))
        assert all(mags[alert_id] < LIMITS[version % len(LIMITS)] for alert_id, version in picked.items())
        assert picked


def feed(parts: Parts, everyone: set[str], stop: threading.Event) -> None:
    """Put packets in without a pause until told to stop, and note whose they are."""
    packets = ztf.packets(7, MOST, datetime(2026, 11, 21, 4, tzinfo=UTC), cutouts=False, history=2)
    while not stop.wait(0.05):
        some = list(islice(packets, 10))
        assert some, "more packets are needed"
        parts.log.append([Message(topics.raw("ztf"), packet.data) for packet in some])
        everyone.update(f"ztf:{packet.name}" for packet in some)


def change(parts: Parts, folder: Path, number: int, how: str) -> None:
    makers: tuple[Callable[[int], str], ...] = (text, narrow)
    for make in makers:
        name = "all" if make is text else "narrow"
        if how == "file":
            whole = make(number)
            with (folder / f"{make.__name__}.toml").open("w") as file:
                file.write(whole[: len(whole) // 2])  # half written for a moment
                file.flush()
                time.sleep(random.Random(number).random() * 0.05)
                file.write(whole[len(whole) // 2 :])
            wait_for(lambda name=name: filters.get(parts.store, name).version == number, 30, f"{name} {number} is not taken up")
        else:
            one = filter_life.add(parts.store, make(number), "ann", base=number - 1)
            filter_life.go_live(parts.store, name, one.version, "ann", lambda _spec: None)


def rows(parts: Parts) -> int:
    return ledger.totals(parts.store).overall.published


def magnitudes(parts: Parts) -> dict[str, float]:
    alert = tables.alerts.c
    with connection(parts.store) as conn:
        return {row.alert_id: row.mag for row in conn.execute(select(alert.alert_id, alert.mag))}
