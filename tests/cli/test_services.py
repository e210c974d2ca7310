"""Verbs that run for good, as processes."""

from __future__ import annotations

import socket
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx

from broker.simulate import ztf
from tests.running import install


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
