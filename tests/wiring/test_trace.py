"""The way of an alert, and backtests and explanations over HTTP and on the command line."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from broker.api.app import create_app
from broker.api.problems import TooBusyError
from broker.api.services import FilterWindow
from broker.cli.app import run
from broker.errors import NotFoundError
from broker.ingest.raw import Kind, Received, to_message
from broker.settings import load
from broker.simulate import lvk, ztf
from broker.store import alerts, columns
from broker.store.claims import claim
from broker.wiring import running, serving
from broker.wiring.backtest import backtest
from broker.wiring.backtest_jobs import Jobs
from broker.wiring.explain import funnel
from broker.wiring.parts import Parts, open_parts
from broker.wiring.trace import Trace, trace

START = datetime(2026, 8, 1, 4, tzinfo=UTC)
BRIGHT = 'name = "bright"\nversion = 3\nstream = "ztf"\ndescription = "x"\nwhere = "mag < 19.5 AND candidate.rb > 0.6"\n'
INSIDE = 'name = "inside"\nversion = 1\nstream = "ztf"\ndescription = "x"\nwhere = "gw.credible_level <= 0.9"\n'
NOTICES = 'name = "notices"\nversion = 1\nstream = "lvk"\ndescription = "x"\nwhere = "messenger = \'GW\'"\n'


def append(parts: Parts, stream: str, *packets: tuple[str, bytes]) -> None:
    kind, bounds = Kind(stream, "application/avro"), running.bounds(parts)
    parts.log.append([to_message(Received(data, f"file:{name}"), kind, bounds) for name, data in packets])
    running.drain(parts, lambda _records: None)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    """Alerts of ZTF, one of them twice and one broken, then a merger whose map holds some of them, and is taken back."""
    data = tmp_path_factory.mktemp("trace") / "data"
    (data / "filters").mkdir(parents=True)
    for name, text in (("bright", BRIGHT), ("inside", INSIDE), ("notices", NOTICES)):
        (data / "filters" / f"{name}.toml").write_text(text)
    (data / "nuncius.toml").write_text('filters = "filters"\n[store]\ndurable = false\n[log]\ndurable = false\n')
    with open_parts(load(data / "nuncius.toml"), data) as opened:
        packets = [(packet.name, packet.data) for packet in ztf.packets(5, 120, START, cutouts=False, history=3)]
        append(opened, "ztf", *packets)
        append(opened, "ztf", packets[0], ("broken", packets[1][1][:-40]))
        rows = columns.scan(opened.frames, ["ztf"]).collect().sort("alert_id")
        event = lvk.make_event(
            np.random.default_rng(3), START - timedelta(hours=2), place=rows.select("ra", "dec").row(0), width=0.6, length=1.0
        )
        sent = [(packet.name, packet.data) for packet in lvk.notices(event, retract=True)]
        append(opened, "lvk", sent[0])
        append(opened, "lvk", *sent[3:])
        yield opened


def steps(told: Trace, name: str) -> list[dict[str, Any]]:
    return [one for one in told.as_dict()["steps"] if one["step"] == name]


def of(parts: Parts, filter_name: str) -> list[str]:
    return sorted(backtest(parts, next(spec for spec in parts.filters if spec.name == filter_name)).matches)


def test_every_step_of_one_that_a_map_picked_later(parts: Parts) -> None:
    alert_id = next(name for name in of(parts, "inside") if name not in of(parts, "bright"))
    told = trace(parts, alert_id)
    assert told.kept
    assert [one.step for one in told.steps] == [
        *("received", "archived", "frames", "database", "matched", "dropped", "published", "published", "rescored")
    ]
    row = alerts.get(parts.store, alert_id)
    (received,) = steps(told, "received")
    assert received["upstream"] == f"file:{alert_id.removeprefix('ztf:')}"
    assert (received["topic"], received["partition"], received["offset"]) == tuple(
        row["origin"][name] for name in ("topic", "partition", "offset")
    )
    assert received["at"] == row["received"].isoformat()
    assert steps(told, "archived")[0].items() >= row["archive"].items()
    assert (parts.frames / steps(told, "frames")[0]["file"]).is_file()
    assert [(one["filter"], one["version"]) for one in steps(told, "matched")] == [("inside", "1")]
    (dropped,) = steps(told, "dropped")
    assert dropped["clause"] in {"mag < 19.5", "candidate.rb > 0.6"}
    assert dropped["why"] == "false"
    ((column, value),) = dropped["value"].items()
    kept = columns.scan(parts.frames, ["ztf"], ["alert_id", column]).collect()
    assert kept.filter(alert_id=alert_id)[column][0] == value
    assert [one["topic"] for one in steps(told, "published")] == ["alerts.ztf", "matched.inside"]
    (rescored,) = steps(told, "rescored")
    assert rescored["state"] in {"retracted", "left"}
    assert rescored["cause"].startswith("lvk:S26")
    times = [one.at for one in told.steps if one.at is not None]
    assert times[0] == min(times)
    assert times[-1] == max(times)


def test_clauses_are_those_of_then(parts: Parts) -> None:
    """The map came later and is gone: when the alert came, there was none."""
    alert_id = next(name for name in of(parts, "bright") if name not in of(parts, "inside"))
    (said,) = (one for one in steps(trace(parts, alert_id), "dropped") if one["filter"] == "inside")
    assert (said["clause"], said["why"], said["value"]) == ("gw.credible_level <= 0.9", "unknown", {"gw.credible_level": None})


def test_notices(parts: Parts) -> None:
    (first, *_) = of(parts, "notices")
    told = trace(parts, first)
    assert [one["filter"] for one in steps(told, "matched")] == ["notices"]
    assert not steps(told, "dropped")  # the others do not see its stream


def test_what_was_never_kept(parts: Parts) -> None:
    broken = alerts.get(parts.store, columns.scan(parts.frames, ["ztf"], ["alert_id"]).collect()["alert_id"][1])["alert_id"]
    native = broken.removeprefix("ztf:")
    claim(parts.store, ["ztf:77"], [("raw.ztf", 0, 9_999)], [None])
    told = trace(parts, "ztf:77")
    assert not told.kept
    assert [(one["topic"], one["offset"]) for one in steps(told, "claimed")] == [("raw.ztf", 9_999)]
    with pytest.raises(NotFoundError, match=f"did you mean {broken}"):
        trace(parts, native)
    with pytest.raises(NotFoundError, match=f"did you mean {broken}"):
        trace(parts, f"lsst:{native}")
    with pytest.raises(NotFoundError, match="ids look like ztf:1234"):
        trace(parts, "ztf:123456")
    with pytest.raises(NotFoundError):
        trace(parts, "")


def test_a_dead_letter_is_found_by_the_number_in_its_bytes(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with open_parts(load(None), data) as parts:
        (packet,) = ztf.packets(9, 1, START, cutouts=False, history=1)
        append(parts, "ztf", ("broken", packet.data[:-40]))
        told = trace(parts, f"ztf:{packet.name}")
        assert not told.kept
        (dead,) = steps(told, "dead-lettered")
        assert (dead["stage"], dead["upstream"]) == ("decode", "file:broken")
        assert run(["--data", str(data), "dead-letter", "show", dead["place"]]) == 0


def test_over_http(parts: Parts) -> None:
    with TestClient(create_app(serving.services(parts))) as client:
        alert_id = of(parts, "inside")[0]
        answer = client.get(f"/api/v1/alerts/{alert_id}/trace")
        assert answer.status_code == 200
        assert {one["step"] for one in answer.json()["steps"]} >= {"received", "matched", "published"}
        assert client.get("/api/v1/alerts/ztf:1/trace").status_code == 404

        told = client.post("/api/v1/filters/explain", json={"name": "bright"}).json()
        spec = next(spec for spec in parts.filters if spec.name == "bright")
        assert (told["evaluated"], told["matched"]) == (funnel(parts, spec).evaluated, funnel(parts, spec).matched)
        said = client.post("/api/v1/filters/explain", json={"text": BRIGHT, "alert_id": alert_id}).json()
        assert [each["text"] for each in said["clauses"]] == ["mag < 19.5", "candidate.rb > 0.6"]
        assert client.post("/api/v1/filters/explain", json={"text": "name = 1"}).status_code == 400
        assert client.post("/api/v1/filters/explain", json={}).status_code == 400
        assert client.post("/api/v1/filters/explain", json={"name": "none"}).status_code == 404

        def result(asked: dict[str, Any]) -> dict[str, Any]:
            started = client.post("/api/v1/backtests", json=asked)
            assert started.status_code == 202
            deadline = time.monotonic() + 60
            while True:
                stands: dict[str, Any] = client.get(f"/api/v1/backtests/{started.json()['id']}").json()
                if stands["state"] != "running":
                    return stands
                assert time.monotonic() < deadline
                time.sleep(0.05)

        stands = result({"name": "inside"})
        assert stands["state"] == "done"
        assert sorted(stands["result"]["matches"]) == of(parts, "inside")
        assert stands["done"] == stands["total"] > 0
        picture = client.get(f"/api/v1/backtests/{stands['id']}/plot.png")
        assert Image.open(io.BytesIO(picture.content)).format == "PNG"
        everything = {"text": INSIDE.replace("gw.credible_level <= 0.9", "TRUE")}
        assert "most_share" in result(everything)["result"]["refused"]
        assert result(everything | {"force": True})["result"]["refused"] is None
        wrong = result({"text": INSIDE.replace("gw.credible_level", "candidate.rbb")})
        assert (wrong["state"], wrong["result"]) == ("failed", None)
        assert "did you mean candidate.rb" in wrong["error"]
        assert client.get(f"/api/v1/backtests/{wrong['id']}/plot.png").status_code == 404
        gone = client.get("/api/v1/backtests/none")
        assert gone.status_code == 404
        assert "starts anew" in gone.json()["detail"]


def test_on_the_command_line(parts: Parts, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verb = ["--data", str(parts.data), "filter", "backtest"]
    file, picture = parts.data / "filters" / "inside.toml", tmp_path / "nights.png"
    capsys.readouterr()
    assert run([*verb, str(file), "--json", "--plot", str(picture), "--force"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert sorted(told["matches"]) == of(parts, "inside")
    assert Image.open(io.BytesIO(picture.read_bytes())).format == "PNG"
    everything = tmp_path / "all.toml"
    everything.write_text(INSIDE.replace("gw.credible_level <= 0.9", "TRUE"))
    assert run([*verb, str(everything)]) == 1
    shown = capsys.readouterr()
    assert "2026-07-31" in shown.out
    assert "backtest.most_share" in shown.err
    assert run([*verb, str(everything), "--until", "2020-01-01"]) == 0
    assert run([*verb, str(everything), "--force"]) == 0
    assert run(["--data", str(tmp_path / "none"), "filter", "backtest", str(file)]) == 2
    assert not (tmp_path / "none").exists()
    capsys.readouterr()
    assert run(["--data", str(parts.data), "trace", of(parts, "inside")[0], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kept"]
    assert run(["--data", str(parts.data), "trace", of(parts, "inside")[0]]) == 0
    assert "matched" in capsys.readouterr().out
    assert run(["--data", str(parts.data), "trace", "ztf:1"]) == 1


def test_the_end_of_the_service_is_the_end_of_its_backtests(parts: Parts) -> None:
    jobs = Jobs(parts)
    asked = FilterWindow(parts.filters[0])
    names = [jobs.start(asked) for _ in range(12)]
    jobs.close()
    states = [jobs.get(name)["state"] for name in names]
    assert "running" not in states
    assert states[-1] == "failed"
    with pytest.raises(TooBusyError, match="ending"):
        jobs.start(asked)
