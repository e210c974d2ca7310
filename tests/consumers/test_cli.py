"""``listen``, run as its users do."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from consumers.cli import app
from tests.consumers.conftest import produce, value

ROOT = Path(__file__).parents[2]


def listen(*arguments):
    return CliRunner().invoke(app, ["listen", *arguments])


def test_help_has_an_example():
    shown = listen("--help")
    assert shown.exit_code == 0
    assert "nuncius listen ztf_bright_transients" in shown.output


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("x", "--start-at", "noon"),
        ("x", "--until", "later"),
        ("x", "-X", "nonsense"),
        ("x", "-X", "no.such=1"),
        ("alerts.ztf", "--api", "http://127.0.0.1:1"),
        ("x", "--api", "nonsense"),
        ("x", "--api", ""),
        ("x", "--api", "http://127.0.0.1:1", "--start-at", "2026-11-22", "--until", "2026-11-21"),
    ],
)
def test_wrong_use_is_status_2(arguments):
    assert listen(*arguments).exit_code == 2


def test_a_broker_that_stays_away_is_status_1():
    shown = listen("x", "-b", "127.0.0.1:1", "--timeout", "0.5")
    assert shown.exit_code == 1
    assert "nothing from 127.0.0.1:1" in shown.output


@pytest.mark.kafka
def test_replays_as_json_lines_and_goes_on_with_a_group(kafka_bootstrap, make_topic):
    topic = make_topic()
    produce(kafka_bootstrap, topic, [value(n) for n in range(3)])
    common = (topic, "-b", kafka_bootstrap, "--start-at", "earliest", "--until", "now", "--group", topic)
    first = listen(*common, "--json", "--count", "2")
    assert first.exit_code == 0, first.output
    rows = [json.loads(line) for line in first.stdout.splitlines()]
    assert [row["alert_id"] for row in rows] == ["ztf:0", "ztf:1"]
    assert rows[0]["hpx"] == str(2**60)
    assert rows[0]["annotations"]["candidate.ndethist"] == str(2**60)
    assert rows[0]["time"] == "2026-11-21T04:00:00Z"
    assert rows[0]["skymaps"][0]["event"] == "S261121a"
    rest = listen(*common)
    assert rest.exit_code == 0, rest.output
    assert "ZTF260000002" in rest.stdout
    assert "ZTF260000001" not in rest.stdout
    assert "18.50 g" in rest.stdout
    assert "S261121a 40%" in rest.stdout


@pytest.mark.kafka
def test_a_bad_record_is_status_1_unless_skipped(kafka_bootstrap, make_topic):
    topic = make_topic()
    produce(kafka_bootstrap, topic, [b"rubbish", value(1)])
    common = (topic, "-b", kafka_bootstrap, "--start-at", "earliest", "--until", "now", "--json")
    assert listen(*common).exit_code == 1
    skipped = listen(*common, "--skip-bad")
    assert skipped.exit_code == 0
    assert json.loads(skipped.stdout)["alert_id"] == "ztf:1"


@pytest.mark.kafka
def test_ctrl_c_is_a_clean_end(kafka_bootstrap, make_topic):
    topic = make_topic()
    produce(kafka_bootstrap, topic, [value(1)])
    command = [
        sys.executable,
        "-c",
        "from consumers.cli import app; app()",
        "listen",
        topic,
        "-b",
        kafka_bootstrap,
        "--start-at",
        "earliest",
    ]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}

    def heed() -> None:  # a shell starts what runs in the background with Ctrl-C ignored, and children inherit that
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed,  # noqa: PLW1509  no other thread of the test forks
    ) as running:
        assert running.stdout is not None
        assert "object" in running.stdout.readline()
        assert "ZTF260000001" in running.stdout.readline()
        running.send_signal(signal.SIGINT)
        _, complaints = running.communicate(timeout=30)
    assert running.returncode == 0
    assert "Traceback" not in complaints


NOBODY = [
    ("-b", "127.0.0.1:1"),
    ("-b", "{silent}"),
    ("--api", "http://127.0.0.1:1"),
    ("-b", "127.0.0.1:1", "--group", "g"),
    ("-b", "{silent}", "--group", "g"),
]


@pytest.mark.parametrize("where", NOBODY, ids=" ".join)
def test_the_time_to_wait_is_counted_from_the_start(where):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and never says a word
        at = where[1].format(silent=f"127.0.0.1:{silent.getsockname()[1]}")
        begun = time.monotonic()
        shown = listen("bright", where[0], at, *where[2:], "--timeout", "2")
        assert shown.exit_code == 1
        assert "for 2 s" in shown.output
        assert 1.9 < time.monotonic() - begun < 7  # and not once for each question


ALONE = """
import sys
from importlib.abc import MetaPathFinder

class NotInstalled(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {hidden!r}:
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, NotInstalled())
sys.argv = ["nuncius", *{arguments!r}]
from broker.__main__ import main
main()
"""


@pytest.mark.parametrize("hidden", [{"polars", "sqlalchemy", "structlog", "numpy", "lxml"}, {"structlog"}], ids=len)
def test_where_only_the_client_is_installed(hidden):
    for arguments, said in ((["listen", "--help"], "Filters, topics"), (["--help"], "listen")):
        code = ALONE.format(hidden=hidden, arguments=arguments)
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert said in done.stdout
    code = ALONE.format(hidden=hidden, arguments=["listen", "bright", "--api", "http://127.0.0.1:1", "--start-at", "nonsense"])
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "nonsense" in done.stderr
