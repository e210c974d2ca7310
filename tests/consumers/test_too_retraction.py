"""A retraction, from a notice through a real Nuncius to the observatory: what was requested is cancelled."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from broker.simulate.night import make_night
from tests.consumers.test_too_crash import rules, running, status, trail
from tests.consumers.too_observatories import eventually, portal
from tests.running import install
from tests.services import free_port

pytestmark = pytest.mark.usefixtures("hasty")


def retraction(event: str, time: datetime) -> bytes:
    said = {
        "alert_type": "RETRACTION",
        "time_created": f"{time:%Y-%m-%dT%H:%M:%SZ}",
        "superevent_id": event,
        "urls": {"gracedb": f"https://gracedb.invalid/superevents/{event}/view/"},
        "event": None,
        "external_coinc": None,
    }
    return json.dumps(said).encode()


@pytest.mark.timeout(400)
def test_a_retraction_cancels_in_the_trail_and_with_the_observatory(tmp_path):
    night = make_night(7, datetime.now(UTC) - timedelta(minutes=10), 300.0, {"ztf": 2.0}, cutouts=False, history=5)
    for packet in night.packets():
        folder = tmp_path / ("survey" if packet.stream == "ztf" else "notices")
        folder.mkdir(exist_ok=True)
        (folder / f"{packet.name.replace('/', '_')}{packet.suffix}").write_bytes(packet.data)
    merger = night.truth[0].name
    kilonova = next(truth for truth in night.truth if truth.kind == "kilonova" and truth.stream == "ztf")
    (tmp_path / "back").mkdir()
    (tmp_path / "back" / "retraction.json").write_bytes(retraction(merger, datetime.now(UTC)))
    nuncius = install(tmp_path / "data")
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    latitude = 89.9 if kilonova.dec > 0 else -89.9
    with portal() as stand, nuncius.running("up", "--port", str(port)):
        eventually(lambda: nuncius.run("status", "--json"), 60)
        for folder in ("notices", "survey"):
            nuncius.run("ingest", str(tmp_path / folder))
        for name in ("live", "dry", "late"):
            (tmp_path / name).mkdir()
        live, dry, late = (
            rules(tmp_path / name, stand, filters='["gw_counterparts"]', latitude=latitude) for name in ("live", "dry", "late")
        )
        with running(live, address, "--live") as hook, running(dry, address):
            eventually(lambda: {f"ztf:{packet}" for packet in kilonova.packets} & ids(live) and stand.live, 120)
            eventually(lambda: dry_decisions(dry), 60)
            nuncius.run("ingest", str(tmp_path / "back"))
            eventually(lambda: not stand.live, 120)
            assert hook.poll() is None
            eventually(lambda: {row["state"] for row in status(live)["requests"]} == {"cancelled"}, 60)
            eventually(lambda: dry_decisions(dry).count("cancel") == dry_decisions(dry).count("request") > 0, 60)
        requested = {group["name"] for group in stand.groups if group["state"] == "CANCELED"}
        assert requested
        said = [line for line in trail(live) if line["decision"] == "cancelled"]
        assert {line["request"]["name"] for line in said} == requested
        assert all(merger in line["reason"] for line in said)
        posts = stand.posts
        with running(late, address, "--live"):  # reads the matches of before; the event is no more
            eventually(lambda: status(late)["requests"], 60)
            eventually(lambda: {row["state"] for row in status(late)["requests"]} == {"cancelled"}, 60)
        assert (stand.posts, stand.live) == (posts, [])


def ids(file: Path) -> set[str]:
    return {row["alert_id"] for row in status(file)["requests"]}


def dry_decisions(file: Path) -> list[str]:
    path = file.with_suffix(".dry.audit.jsonl")
    return [json.loads(line)["decision"] for line in path.read_text("utf-8").splitlines()] if path.exists() else []
