"""Events of open requests are asked for: a retraction that nobody told us of cancels all the same."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from consumers.too.recheck import Recheck
from tests.consumers.too_world import Bench, alert, in_map, rules_text


@contextmanager
def api(states: dict[str, str]) -> Iterator[tuple[str, list[str]]]:
    """A server that knows events, or answers a status for them, and who was asked for."""
    asked: list[str] = []

    class Events(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Quiet."""

        def do_GET(self) -> None:
            name = self.path.removeprefix("/api/v1/events/")
            asked.append(name)
            said = states.get(name, "404")
            data = json.dumps({"detail": "no"} if said.isdigit() else {"state": said}).encode()
            self.send_response(int(said) if said.isdigit() else 200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Events)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def test_a_retracted_event_cancels_what_is_open_and_what_comes_after(tmp_path):
    with api({"S261121a": "retracted", "S261119b": "update"}) as (address, asked), Bench(tmp_path, rules_text()) as bench:
        recheck = Recheck([address], bench.ledger, bench.desk, lambda _text: None)
        bench.take(in_map(1), in_map(2, event="S261119b"), alert(3), in_map(4, event="S000000z"))
        recheck.look()
        bench.take(in_map(5))
        recheck.look()
        states = {row.alert_id: row.state for row in bench.ledger.rows()}
        assert states == {"ztf:1": "cancelled", "ztf:2": "planned", "ztf:3": "planned", "ztf:4": "planned"}
        assert sorted(asked) == ["S000000z", "S261119b", "S261121a"]  # each once
        assert [line["reason"] for line in bench.lines() if line["decision"] == "cancel"] == ["S261121a is retracted"]
        (last,) = (line for line in bench.lines() if line.get("alert_id") == "ztf:5")
        assert last["reason"] == "S261121a was retracted before"


def test_an_api_that_is_away_costs_one_question(tmp_path):
    with api({}) as (address, _):
        pass
    said: list[str] = []
    with Bench(tmp_path, rules_text()) as bench:
        recheck = Recheck([address], bench.ledger, bench.desk, said.append)
        bench.take(in_map(1), in_map(2, event="S261119b"))
        recheck.look()
        recheck.look()
        assert bench.states() == ["planned", "planned"]
    assert len(said) == 1
    assert "is not known: no answer from" in said[0]


def test_an_api_that_is_away_hides_no_retraction_that_another_knows(tmp_path):
    with api({}) as (gone, _):
        pass
    with api({"S261121a": "retracted"}) as (address, _), Bench(tmp_path, rules_text()) as bench:
        bench.take(in_map(1))
        Recheck([gone, address], bench.ledger, bench.desk, lambda _text: None).look()
        assert bench.states() == ["cancelled"]


@pytest.mark.parametrize("status", ["401", "403", "429", "500"])
def test_an_answer_that_is_none_is_told_and_hides_no_other_event(tmp_path, status):
    said: list[str] = []
    states = {"S261119b": status, "S261121a": "retracted"}
    with api(states) as (address, asked), Bench(tmp_path, rules_text()) as bench:
        bench.take(in_map(1), in_map(2, event="S261119b"))
        recheck = Recheck([address], bench.ledger, bench.desk, said.append)
        recheck.look()
        recheck.look()
        assert bench.states() == ["cancelled", "planned"]
    assert asked == ["S261119b", "S261121a"]
    assert len(said) == 1
    assert f"whether S261119b is retracted is not known: {address}" in said[0]
    assert f"answers {status}" in said[0]
