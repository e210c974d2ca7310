"""Readers of live matches that drop and come back, on a real Kafka and PostgreSQL, at two servers of the same matches."""

from __future__ import annotations

import random
import socket
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from broker import topics
from broker.record import Message
from broker.settings import load
from broker.simulate import ztf
from broker.wiring.parts import open_parts
from tests.api.test_live_ws import KINDS, Told
from tests.running import Installation, install, wait_for
from tests.services import free_port

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(400)]

COUNT = 300


def installed(data: Path, kafka: str, store: str, name: str) -> Installation:
    nuncius = install(data, kafka=kafka, store=store)
    (data / "filters").mkdir()
    text = f'name = "{name}"\nversion = 1\nstream = "ztf"\ndescription = "All that has a place"\nwhere = "ra IS NOT NULL"\n'
    (data / "filters" / f"{name}.toml").write_text(text)
    nuncius.config.write_text(f'filters = "filters"\n{nuncius.config.read_text()}')
    return nuncius


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_who_drops_and_comes_back_misses_nothing_and_sees_nothing_twice(
    tmp_path: Path, own_kafka: str, fresh_postgres: str
) -> None:
    name = f"all_{uuid.uuid4().hex[:8]}"
    nuncius = installed(tmp_path / "data", own_kafka, fresh_postgres, name)
    packets = list(ztf.packets(23, COUNT + 2, datetime.now(UTC) - timedelta(hours=1), cutouts=False, history=3))
    before, *some, after = [(f"ztf:{packet.name}", Message(topics.raw("ztf"), packet.data)) for packet in packets]
    ports = [free_port(), free_port()]
    urls, query = [f"http://127.0.0.1:{port}" for port in ports], f"filter={name}"
    had: dict[str, list[Told]] = {kind: [] for kind in KINDS}
    visits = dict.fromkeys(KINDS, 0)
    faults: list[BaseException] = []
    there = threading.Barrier(len(KINDS) + 1, timeout=60)

    def read(kind: str) -> None:
        chance, mine = random.Random(kind), had[kind]
        try:
            with KINDS[kind](urls[0], query) as found:
                there.wait()
                mine.append(next(found))
            while len(mine) < COUNT:
                visits[kind] += 1
                with KINDS[kind](chance.choice(urls), query, mine[-1].id) as found:
                    for _ in range(min(chance.randint(0, 25), COUNT - len(mine))):
                        mine.append(next(found))
        except BaseException as error:
            faults.append(error)
            raise

    with (
        nuncius.running("process"),
        nuncius.running("serve", "--port", str(ports[0])),
        nuncius.running("serve", "--port", str(ports[1])),
        open_parts(load(nuncius.config), nuncius.data) as parts,
    ):
        parts.log.append([before[1]])
        wait_for(lambda: nuncius.json("status", "--json")["matches"].get(name) == 1, 120, "the filter does not live")
        wait_for(lambda: all(map(listens, ports)), 60, "the servers do not listen")
        readers = [threading.Thread(target=read, args=(kind,), daemon=True) for kind in KINDS]
        for reader in readers:
            reader.start()
        there.wait()
        chance = random.Random(5)
        for _, message in some:
            parts.log.append([message])
            time.sleep(chance.random() * 0.05)
        for reader in readers:
            reader.join(60)
        assert not faults
        assert {kind: sorted(told.alert for told in mine) for kind, mine in had.items()} == dict.fromkeys(
            KINDS, sorted(alert for alert, _ in some)
        )
        for kind, mine in had.items():  # nothing is left, and nothing comes again
            with KINDS[kind](urls[1], query, mine[-1].id) as found:
                if kind == next(iter(KINDS)):
                    parts.log.append([after[1]])
                assert next(found).alert == after[0]
    assert min(visits.values()) > 5
