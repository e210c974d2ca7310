"""``listen`` without an address: the log of the data folder, whichever engine it has."""

from __future__ import annotations

import json
import threading
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from broker import topics
from broker.cli.app import app
from broker.record import Message
from tests.subscribers import parts_with, publish, rows_of


def listen(data: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["--data", str(data), "listen", *arguments])


def alerts(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    told: list[dict[str, Any]] = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    return [one["alert_id"] for one in told]


def test_what_came_since_a_time_and_until_another(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with parts_with(data, "bright", "young") as parts:
        first = publish(parts, "bright", rows_of([1, 2, 3]))
        publish(parts, "young", rows_of([4]))
        time.sleep(0.05)
        between = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}"
        time.sleep(0.05)
        later = publish(parts, "bright", rows_of([5, 6]))
        assert alerts(listen(data, "bright", "--since", "earliest", "--until", "now", "--json")) == [*first, *later]
        assert alerts(listen(data, "bright", "--since", between, "--until", "now", "--json")) == later
        assert alerts(listen(data, "bright", "--since", "earliest", "--until", between, "--json")) == first
        assert len(alerts(listen(data, "^matched[.].*", "--since", "earliest", "--until", "now", "--json"))) == 6
        table = listen(data, "young", "--since", "earliest", "--until", "now").stdout
        assert "ZTF24aa00004" in table
        assert "matched.young" in table


def test_a_group_goes_on_where_it_stopped(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with parts_with(data, "bright") as parts:
        names = publish(parts, "bright", rows_of([1, 2, 3]))
        common = "bright", "--group", "telescope", "--since", "earliest", "--json"
        assert alerts(listen(data, *common, "-n", "2")) == names[:2]
        assert alerts(listen(data, *common, "--until", "now")) == names[2:]


def test_what_comes_is_shown_as_it_comes(tmp_path: Path) -> None:
    data, stop = tmp_path / "data", threading.Event()
    with parts_with(data, "bright") as parts:
        publish(parts, "bright", rows_of([1]))
        coming: list[str] = []

        def go_on() -> None:
            number = 100
            while not stop.wait(0.2):
                coming.extend(publish(parts, "bright", rows_of([number])))
                number += 1

        publishing = threading.Thread(target=go_on)
        publishing.start()
        try:
            had = alerts(listen(data, "bright", "-n", "3", "--json"))
        finally:
            stop.set()
            publishing.join()
    assert len(had) == 3
    assert had == coming[coming.index(had[0]) :][:3]


def test_a_record_that_cannot_be_read(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with parts_with(data, "bright") as parts:
        first = publish(parts, "bright", rows_of([1]))
        parts.log.append([Message(topics.matched("bright"), b"none of ours")])
        last = publish(parts, "bright", rows_of([2]))
        common = "bright", "--since", "earliest", "--until", "now", "--json"
        stopped = listen(data, *common)
        assert stopped.exit_code == 1
        assert "--skip-bad" in stopped.output
        assert alerts(listen(data, *common, "--skip-bad")) == [*first, *last]


@pytest.mark.kafka
def test_on_kafka_the_settings_say_which(tmp_path: Path, kafka_bootstrap: str) -> None:
    name, data = f"bright_{uuid.uuid4().hex[:8]}", tmp_path / "data"
    log = f'[log]\nengine = "kafka"\nbootstrap_servers = "{kafka_bootstrap}"\npartitions = 1\n'
    with parts_with(data, name, log=log) as parts:
        names = publish(parts, name, rows_of([1, 2]))
        assert alerts(listen(data, name, "--since", "earliest", "--until", "now", "--json", "--timeout", "30")) == names
