"""The telescope hook as a process, killed between posting and noting: every alert is requested once, whatever the moment."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from consumers.too.errors import StateError
from consumers.too.ledger import Ledger
from consumers.too.reading import read_rules
from consumers.too.status import status as shown
from tests.api.world import BIG, World, served, survey_alert, world
from tests.consumers.conftest import produce, value
from tests.consumers.too_observatories import TOKEN, StandIn, eventually, portal
from tests.consumers.too_world import rules_text

ROOT = Path(__file__).parents[2]
MANNERS = "\n[observatory]\ntimeout = 5.0\nsettle = 0.3\ntries = 20\npoll = 600\n"
TOPIC = "special"
HASTY = "from consumers.too import cli, reading; reading._LATE = -5.0; cli.app()"  # as the fixture says
pytestmark = pytest.mark.usefixtures("hasty")
TIMES = '[source.properties]\n"session.timeout.ms" = 6000\n"heartbeat.interval.ms" = 1000\n'


def rules(folder: Path, stand: StandIn, *, filters: str = f'["^matched[.]{TOPIC}$"]', latitude: float = 89.9) -> Path:
    file = folder / "too.toml"
    limits = "min_altitude = -5\nmax_sun_altitude = 90\nmax_age_hours = 1e9"
    text = rules_text(
        address=stand.url,
        limits=limits,
        more="valid_hours = 24",
        site=f"pole=0,{latitude},0",
        filters=filters,
        budget="requests = 1000",
    )
    file.write_text(text + MANNERS)
    return file


def command(file: Path, address: str, *more: str) -> list[str]:
    source = ["--api", address] if address.startswith("http") else []
    return [
        sys.executable,
        "-c",
        HASTY,
        "--rules",
        str(file),
        *source,
        "--start-at",
        "earliest",
        "--heartbeat",
        "1",
        *more,
    ]


@contextmanager
def running(file: Path, address: str, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    with (file.parent / "log").open("ab") as log:
        environment = {**os.environ, "TOO_TEST_TOKEN": TOKEN}
        process = subprocess.Popen(command(file, address, *more), cwd=ROOT, stdout=log, stderr=log, env=environment)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                assert process.wait(30) == 0
    assert TOKEN.encode() not in (file.parent / "log").read_bytes()


def kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait(30)


def status(file: Path) -> dict[str, Any]:
    """What ``--status --json`` says of the live state; without a process of its own, as it is asked often."""
    try:
        with Ledger(file.with_suffix(".live.sqlite"), live=True, reading=True) as ledger:
            return shown(read_rules(file), ledger, datetime.now(UTC))
    except StateError:
        return {"requests": []}


def trail(file: Path) -> list[dict[str, Any]]:
    lines = file.with_suffix(".live.audit.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def north(number: int) -> dict[str, Any]:
    return survey_alert(number) | {"dec": 60.0}


@pytest.fixture
def sky(tmp_path: Path) -> Iterator[tuple[World, str]]:
    with world(tmp_path / "world") as made, served(made.services) as address:
        yield made, address


@pytest.mark.parametrize(("how", "posts"), [("taken-hang", 1), ("hang", 2)])
def test_killed_between_post_and_note_it_finds_the_request_again(tmp_path, sky, how, posts):
    made, address = sky
    with portal(how) as stand:
        file = rules(tmp_path, stand)
        made.publish(north(5001), TOPIC)
        with running(file, address, "--live") as process:
            eventually(lambda: stand.posts == 1 and (stand.groups or how == "hang"))
            kill(process)
        assert [row["state"] for row in status(file)["requests"]] == ["posting"]
        with running(file, address, "--live"):
            eventually(lambda: [row["state"] for row in status(file)["requests"]] == ["requested"])
        assert (len(stand.groups), stand.posts) == (1, posts)
        (row,) = status(file)["requests"]
        assert (row["number"], row["posts"], row["alert_id"]) == ("1000", posts, f"ztf:{BIG + 5001}")
        said = [line["decision"] for line in trail(file)]
        assert said == ["request", "unknown", *(["found"] if posts == 1 else ["absent", "requested"])]


@pytest.mark.timeout(300)
def test_killed_at_random_moments_it_requests_each_alert_once(tmp_path, sky):
    made, address = sky
    noise = random.Random(11)
    wanted = [f"ztf:{BIG + 5100 + number}" for number in range(24)]
    with portal(*(noise.choice(["ok", "ok", "taken-close", "close", "500", "500-taken"]) for _ in range(20))) as stand:
        file = rules(tmp_path, stand)

        def publish() -> None:
            for number in range(24):
                made.publish(north(5100 + number), TOPIC)
                time.sleep(0.2)

        writer = threading.Thread(target=publish)
        writer.start()
        for number in range(1, 7):
            with running(file, address, "--live") as process:
                eventually(lambda: (file.parent / "log").read_text().count("reading http") == number)  # noqa: B023
                time.sleep(1.5 * noise.random())
                kill(process)
        writer.join()
        with running(file, address, "--live"):
            eventually(lambda: [row["state"] for row in status(file)["requests"]] == ["requested"] * 24, 120)
        names = [group["name"] for group in stand.groups]
        assert (len(names), len(set(names))) == (24, 24)
        assert sorted(row["alert_id"] for row in status(file)["requests"]) == sorted(wanted)
        numbers = [line["seq"] for line in trail(file)]
        assert numbers == list(range(1, len(numbers) + 1))
        asked = [line["alert_id"] for line in trail(file) if line["decision"] == "request"]
        assert sorted(asked) == sorted(wanted)


@pytest.mark.kafka
def test_from_kafka_it_goes_on_after_a_kill(tmp_path, kafka_bootstrap, make_topic):
    topic = make_topic(2)
    with portal("ok", "taken-hang") as stand:
        file = rules(tmp_path, stand, filters=f'["{topic}"]')
        file.write_text(f'[source]\naddress = "{kafka_bootstrap}"\nstart_at = "earliest"\n' + TIMES + file.read_text())
        for number in range(4):
            produce(kafka_bootstrap, topic, [value(number, dec=60.0)], partition=number % 2)
        with running(file, "") as dry:
            eventually(lambda: file.with_suffix(".dry.audit.jsonl").exists())
            assert dry.poll() is None
        with running(file, "", "--live") as process:
            eventually(lambda: len(stand.groups) == 2)
            kill(process)
        with running(file, "", "--live"):
            eventually(lambda: [row["state"] for row in status(file)["requests"]] == ["requested"] * 4, 60)
        assert (len(stand.groups), stand.posts) == (4, 4)
        assert sorted(row["alert_id"] for row in status(file)["requests"]) == [f"ztf:{number}" for number in range(4)]


@pytest.mark.kafka
def test_what_is_taken_back_further_on_in_a_backlog_is_never_posted(tmp_path, kafka_bootstrap, make_topic):
    topic = make_topic(1)
    with portal() as stand:
        file = rules(tmp_path, stand, filters=f'["{topic}"]')
        file.write_text(f'[source]\naddress = "{kafka_bootstrap}"\nstart_at = "earliest"\n' + TIMES + file.read_text())
        gone = value(9, event_name="S261121a", alert_type="retraction")
        hour_ago = int((time.time() - 3600) * 1000)
        produce(kafka_bootstrap, topic, [value(1, dec=60.0), value(2, dec=60.0), gone], stamps=[hour_ago] * 3)
        with running(file, "", "--live"):
            eventually(lambda: [row["state"] for row in status(file)["requests"]] == ["cancelled"] * 2, 60)
            produce(kafka_bootstrap, topic, [value(3, dec=60.0, skymaps=[])])
            eventually(lambda: [row["state"] for row in status(file)["requests"]][2:] == ["requested"], 60)
        assert stand.posts == 1


def test_live_it_goes_on_when_nobody_reads_what_it_shows(tmp_path, sky):
    made, address = sky
    with portal() as stand:
        file = rules(tmp_path, stand)
        environment = {**os.environ, "TOO_TEST_TOKEN": TOKEN}
        process = subprocess.Popen(
            command(file, address, "--live"), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )
        try:
            assert process.stdout is not None
            process.stdout.close()
            for number in range(1, 4):
                made.publish(north(5300 + number), TOPIC)
                eventually(lambda: len(stand.live) == number)  # noqa: B023
            assert process.poll() is None
        finally:
            process.terminate()
            assert process.wait(30) == 0


def test_a_dry_run_to_now_ends_by_itself_and_writes_its_payloads(tmp_path, sky):
    made, address = sky
    with portal() as stand:
        file = rules(tmp_path, stand)
        made.publish(north(5201), TOPIC)
        made.publish(north(5202) | {"dec": -60.0}, TOPIC)
        done = subprocess.run(
            command(file, address, "--until", "now", "--json", "--out", str(tmp_path / "out")),
            cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert sorted(line["decision"] for line in lines) == ["refuse", "request"]
        assert [path.suffix for path in (tmp_path / "out").iterdir()] == [".json"]
        assert "requests: 1 planned" in done.stderr
        assert stand.asked == []
        again = subprocess.run(
            [sys.executable, "-c", HASTY, "--rules", str(file), "--status"],
            cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert "planned" in again.stdout
        assert "of 1000 requests" in again.stdout
