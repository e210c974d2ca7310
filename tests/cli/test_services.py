"""Verbs that run for good, as processes."""

from __future__ import annotations

import socket
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import httpx

from broker.simulate import ztf
from broker.stream.embedded import EmbeddedLog
from tests.running import install, wait_for


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])


def test_process_shows_its_own_metrics(tmp_path: Path) -> None:
    port = free_port()
    there = install(tmp_path / "data", more=f"[output]\nmetrics_port = {port}\n")
    packets = tmp_path / "in"
    packets.mkdir()
    for packet in ztf.packets(2, 5, datetime(2026, 11, 21, 4, tzinfo=UTC), history=3):
        (packets / f"{packet.name}.avro").write_bytes(packet.data)
    there.run("ingest", str(packets), "--no-process")
    with there.running("process"):
        deadline = time.monotonic() + 60
        shown = ""
        while 'nuncius_alerts_total{outcome="published",stream="ztf"} 5.0' not in shown and time.monotonic() < deadline:
            time.sleep(0.2)
            try:
                shown = httpx.get(f"http://127.0.0.1:{port}/metrics").text
            except httpx.TransportError:
                continue
    assert 'nuncius_alerts_total{outcome="published",stream="ztf"} 5.0' in shown


def test_sigterm_ends_every_part_cleanly(tmp_path: Path) -> None:
    port = free_port()
    there = install(tmp_path / "data")
    with there.running("up", "--port", str(port)) as process:
        wait_for(lambda: answers(port), 60, "up does not answer")
        wait_for(lambda: members(tmp_path) == 2, 30, "process and deliver have not joined their groups")
        process.terminate()
        assert process.wait(30) == 0
    assert members(tmp_path) == 0


def members(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "data" / "log" / "log.sqlite")) as db:
        return int(db.execute("SELECT count(*) FROM members").fetchone()[0])


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/api/v1/health/live").is_success
    except httpx.TransportError:
        return False


def test_notices_stay_in_the_order_they_came(tmp_path: Path) -> None:
    there = install(tmp_path / "data")
    there.run("simulate", "lvk", "--count", "12", "--out", str(tmp_path / "in"))
    there.run("ingest", str(tmp_path / "in"))
    with closing(EmbeddedLog(tmp_path / "data" / "log")) as log:
        held = [last - first for first, last in log.bounds("raw.lvk").values()]
    assert len(held) > 1
    assert sorted(held)[-2:] == [0, 12]
