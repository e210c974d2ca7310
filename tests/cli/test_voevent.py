"""``nuncius vtp`` and ``nuncius voevent send``, as processes."""

from __future__ import annotations

from pathlib import Path

from broker.cli.app import run
from tests.running import install, wait_for
from tests.vtp_peers import answers, free_port, voevent


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
