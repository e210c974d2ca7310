"""``nuncius vtp`` and ``nuncius voevent send``, as processes."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
import tomllib
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from broker.cli.app import run
from tests.running import install, wait_for
from tests.vtp_peers import answers, free_port, voevent

GUIDE = Path(__file__).parents[2] / "docs" / "voevent.md"


def test_an_event_sent_by_hand_is_processed(tmp_path: Path) -> None:
    port = free_port()
    there = install(tmp_path / "data", more=f"[vtp]\nauthor_port = {port}\n")
    file = tmp_path / "event.xml"
    file.write_bytes(voevent(7))
    with there.running("vtp"):
        wait_for(lambda: answers(port), 60, "nobody listens")
        assert "ivo://example.org/tests#7 acknowledged by ivo://nuncius" in there.run(
            "voevent", "send", str(file), "--port", str(port)
        )
        file.write_bytes(voevent(8)[:-8])
        there.run("voevent", "send", str(file), "--port", str(port), status=2)
        with there.running("process"):
            wait_for(lambda: there.json("status", "--json")["ledger"]["total"]["published"] == 1, 60, "never processed")


def test_nobody_there(tmp_path: Path) -> None:
    file = tmp_path / "event.xml"
    file.write_bytes(voevent(7))
    install(tmp_path / "data").run("voevent", "send", str(file), "--port", str(free_port()), status=1)


def test_no_port_is_set(tmp_path: Path) -> None:
    assert run(["--data", str(tmp_path), "vtp"]) == 2


@pytest.mark.parametrize("reads", [False, True], ids=["resets", "ends"])
def test_who_is_hung_up_on_is_told_why_that_may_be(tmp_path: Path, reads: bool) -> None:
    file = tmp_path / "event.xml"
    file.write_bytes(voevent(7))
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            there, _ = server.accept()
            with there:
                there.recv(65_536 if reads else 1)  # bytes left unread make a reset of the end

        thread = threading.Thread(target=hang_up)
        thread.start()
        # In a process of its own: a browser's tests may hold a loop in this one.
        sending = [sys.executable, "-m", "broker", "voevent", "send", str(file), "--port", str(server.getsockname()[1])]
        found = subprocess.run(sending, capture_output=True, text=True, timeout=60, check=False)
        assert found.returncode == 1, found.stderr
        thread.join()
    assert "vtp.allow" in found.stderr
    assert "no VOEvent broker answers" not in found.stderr


def test_the_settings_of_the_guide_take_the_event_of_its_next_lines(tmp_path: Path) -> None:
    shown = re.findall(r"^```toml\n(.*?)^```", GUIDE.read_text("utf-8"), re.DOTALL | re.MULTILINE)[0]
    (tmp_path / "nuncius.toml").write_text(shown)
    assert run(["--data", str(tmp_path), "config", "check"]) == 0
    host = re.search(r"nuncius voevent send \S+ --host (\S+)", GUIDE.read_text("utf-8"))
    assert host
    assert any(ip_address(host[1]) in ip_network(allowed) for allowed in tomllib.loads(shown)["vtp"]["allow"])
