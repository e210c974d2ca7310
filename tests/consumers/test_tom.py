"""Nuncius in a real TOM of the TOM Toolkit: an installation of its own, asked through its own pages and commands."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from broker.simulate.night import make_night
from tests.consumers.conftest import produce, value
from tests.running import ROOT, install, wait_for
from tests.services import free_port

FILTER = """
name = "tom_test"
version = 1
stream = "ztf"
description = "Whatever is bright"
where = "mag < 21 AND reliability > 0.3"
"""
START = datetime(2026, 11, 21, 4, tzinfo=UTC)


class Tom:
    """A TOM whose broker is `url`."""

    def __init__(self, python: str, folder: Path, url: str) -> None:
        self.python, self.folder, self.url = python, folder, url

    def __call__(self, verb: str, streams: Any = (), url: str | None = None, **arguments: Any) -> Any:
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DJANGO_SETTINGS_MODULE": "tests.consumers.tom_settings",
            "TOM_FOLDER": str(self.folder),
            "NUNCIUS_URL": url or self.url,
            "TOM_STREAMS": json.dumps(streams),
        }
        command = [self.python, str(ROOT / "tests" / "consumers" / "tom_site.py"), verb, json.dumps(arguments)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False, env=environment)
        assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-1000:]
        self.said = done.stderr
        return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def nuncius(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of `nuncius serve` with a night of alerts in it, some of them picked."""
    folder = tmp_path_factory.mktemp("nuncius")
    (folder / "in").mkdir()
    for packet in make_night(7, START, 900.0, {"ztf": 0.2}, history=3, cutouts=False).packets():
        (folder / "in" / f"{packet.name}{packet.suffix}").write_bytes(packet.data)
    service = install(folder / "data")
    (service.data / "filters").mkdir()
    (service.data / "filters" / "tom_test.toml").write_text(FILTER)
    service.config.write_text('filters = "filters"\n' + service.config.read_text() + "[backtest]\nmost_share = 1.0\n")
    service.run("ingest", str(folder / "in"))
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with service.running("serve", "--port", str(port)):
        wait_for(lambda: _answers(url), 60, "nuncius serve does not answer")
        yield url


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/v1/health", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="module")
def fresh(toolkit: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Database of a TOM that has nothing in it yet."""
    folder = tmp_path_factory.mktemp("fresh")
    assert Tom(toolkit, folder, "http://127.0.0.1:1")("setup") == {"brokers": ["NunciusBroker"]}
    return folder / "tom.sqlite3"


@pytest.fixture
def tom(toolkit: str, nuncius: str, fresh: Path, tmp_path: Path) -> Tom:
    shutil.copy(fresh, tmp_path)
    return Tom(toolkit, tmp_path, nuncius)


def get(nuncius: str, path: str, **params: Any) -> Any:
    answer = httpx.get(f"{nuncius}/api/v1/{path}", params=params, timeout=20)
    assert answer.status_code == 200, answer.text
    return answer.json()


def picked(nuncius: str) -> dict[str, dict[str, Any]]:
    """The latest alert of each object that the filter picked."""
    found: dict[str, dict[str, Any]] = {}
    for alert in get(nuncius, "alerts", filter="tom_test", limit=1000)["items"]:
        found.setdefault(alert["object_id"], alert)
    assert len(found) > 3
    return found


def curve(nuncius: str, name: str) -> set[tuple[str, str, float]]:
    points = get(nuncius, f"objects/{name}/lightcurve")["points"]
    bright = [point for point in points if point["kind"] == "limit" or point.get("positive") is not False]
    return {(point["band"], point["kind"], round(point["mag"], 6)) for point in bright if point["mag"] is not None}


def kept(found: Any, name: str) -> set[tuple[str, str, float]]:
    mine = [point for point in found["points"] if point[0] == name]
    return {(band, kind, round(limit if kind == "limit" else mag, 6)) for _, _, band, mag, _, limit, kind in mine}


def test_nothing_of_django_is_needed_by_the_client() -> None:
    code = "import sys, consumers; print(sorted({name.partition('.')[0] for name in sys.modules} & {'django', 'tom_alerts'}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_a_form_that_asks_for_something(tom: Tom) -> None:
    cone = {"cone_ra": "10", "cone_dec": "5", "cone_radius": 3}
    good = [
        {"filter": "tom_test"},
        {"object_id": "ZTF1"},
        cone,
        {"event": "S1", "level": 0.5},
        {**cone, "filter": "x", "days": 2},
    ]
    assert tom("form", cases=good) == [[]] * len(good)
    bad = [{}, {"cone_ra": "10"}, {"event": "S1", "filter": "x"}, {"filter": "x", "max_alerts": 0}, {"event": "S1", "level": 2}]
    said = tom("form", cases=bad)
    assert all(said)
    assert [text[0].partition(" ")[0] for text in said[:3]] == ["Give", "A", "An"]


def test_targets_of_a_filter_with_their_light_curves(tom: Tom, nuncius: str) -> None:
    expected = picked(nuncius)
    found = tom("query", said={"filter": "tom_test", "max_alerts": 5}, create=True)
    assert found["feedback"] == ""
    assert len(found["alerts"]) == min(5, len(expected))
    for alert in found["alerts"]:
        latest = expected[alert["name"]]
        assert alert["id"] == latest["alert_id"]
        assert [alert[name] for name in ("ra", "dec", "mag", "score")] == [
            latest[name] for name in ("ra", "dec", "mag", "reliability")
        ]
        assert alert["url"].startswith(f"{nuncius}/alerts/ztf%3A")
        assert alert["timestamp"][:19] == latest["time"][:19]
        assert found["targets_kept"][alert["name"]] == [latest["ra"], latest["dec"], "SIDEREAL"]
        assert kept(found, alert["name"]) == curve(nuncius, alert["name"])
        assert kept(found, alert["name"])
    again = tom(
        "query", said={"filter": "tom_test", "max_alerts": 5}, create=True
    )  # targets that are there stay, points are not doubled
    assert (again["targets_kept"], again["points"]) == (found["targets_kept"], found["points"])


def test_what_is_fainter_than_the_reference_is_no_brightness(tom: Tom) -> None:
    common = {"mag_err": 0.1, "band": "g"}
    found = tom(
        "curve",
        points=[
            {**common, "time": 60001.0, "mag": 18.0, "kind": "detection", "positive": True},
            {**common, "time": 60002.0, "mag": 18.1, "kind": "detection", "positive": False},
            {**common, "time": 60003.0, "mag": 18.2, "kind": "forced", "positive": False},
            {**common, "time": 60004.0, "mag": 18.3, "kind": "forced", "positive": None},
            {**common, "time": 60005.0, "mag": 20.0, "kind": "limit", "positive": False},
        ],
    )
    assert found["count"] == 3
    assert [(mag, limit) for _, _, _, mag, _, limit, _ in found["points"]] == [(18.0, None), (18.3, None), (None, 20.0)]


def test_by_object_by_cone_and_none(tom: Tom, nuncius: str) -> None:
    name, alert = next(iter(picked(nuncius).items()))
    assert [one["name"] for one in tom("query", said={"object_id": name}, create=False)["alerts"]] == [name]
    cone = {"cone_ra": str(alert["ra"]), "cone_dec": str(alert["dec"]), "cone_radius": 2}
    assert [one["name"] for one in tom("query", said=cone, create=False)["alerts"]] == [name]
    nothing = tom("query", said={"object_id": "nobody"}, create=False)
    assert (nothing["alerts"], nothing["feedback"], nothing["targets_kept"]) == ([], "", {})


def test_what_is_wrong_is_told_on_the_page(tom: Tom) -> None:
    refused = tom("query", said={"event": "S999999zz"}, create=False)
    assert refused["alerts"] == []
    assert "S999999zz" in refused["feedback"]
    away = tom("query", url=f"http://127.0.0.1:{free_port()}", said={"filter": "x"}, create=False)
    assert "no answer from" in away["feedback"]


def test_by_the_command_and_by_the_broker(tom: Tom, nuncius: str) -> None:
    found = tom("saved", said={"filter": "tom_test", "max_alerts": 3})
    assert len(found["first"]["targets_kept"]) == 3
    assert found["first"]["points"] == []  # that command makes targets and no more
    assert set(found["targets"]) == set(found["targets_kept"]) == set(found["first"]["targets_kept"])
    for name in found["targets"]:
        assert kept(found, name) == curve(nuncius, name)


class TestStream:
    def streams(self, url: str, handler: str = "consumers.tom.handlers.save_target", name: str = "tom_test") -> Any:
        options = {"URL": url, "START_AT": "earliest", "TOPIC_HANDLERS": {name: handler}}
        return [{"ACTIVE": True, "NAME": "consumers.tom.stream.NunciusAlertStream", "OPTIONS": options}]

    @pytest.mark.parametrize("command", [False, True])
    def test_every_object_becomes_a_target(self, tom: Tom, nuncius: str, command: bool) -> None:
        found = tom("stream", streams=self.streams(nuncius), options={}, command=command)
        expected = picked(nuncius)
        assert set(found["targets_kept"]) == set(expected)
        assert found["lists"] == {"tom_test": sorted(expected)}
        for name in expected:
            assert kept(found, name) == curve(nuncius, name)

    def test_it_goes_on_where_it_stopped(self, tom: Tom, nuncius: str, fresh: Path) -> None:
        place = {"POSITION_FILE": str(tom.folder / "position")}
        first = tom("stream", streams=self.streams(nuncius), options=place, command=False)
        assert first["targets_kept"]
        position = (tom.folder / "position").read_text()
        shutil.copy(fresh, tom.folder)
        assert tom("stream", streams=self.streams(nuncius), options=place, command=False)["targets_kept"] == {}
        assert (tom.folder / "position").read_text() == position

    @pytest.mark.kafka
    def test_over_kafka_a_group_goes_on_behind_what_it_has_done(
        self, tom: Tom, nuncius: str, fresh: Path, kafka_bootstrap: str, make_topic: Callable[..., str]
    ) -> None:
        topic = make_topic(2)
        name, group = topic.removeprefix("matched."), {"GROUP_ID": f"tom-{topic}"}
        streams = self.streams(kafka_bootstrap, name=name)
        chosen = list(picked(nuncius).items())[:3]
        objects = sorted(one for one, _ in chosen)
        sent = [value(number, object_id=one, ra=at["ra"], dec=at["dec"]) for number, (one, at) in enumerate(chosen)]
        for number, data in enumerate([*sent, b"what is no record"]):
            produce(kafka_bootstrap, topic, [data], partition=number % 2)
        found = tom("stream", streams=streams, options=group, command=False)
        assert sorted(found["targets_kept"]) == objects
        assert found["lists"] == {name: objects}
        for one in objects:
            assert kept(found, one) == curve(nuncius, one)
        told = {"nuncius.update": b"retracted", "nuncius.event": b"S261121a"}
        produce(kafka_bootstrap, topic, [sent[0]], headers=told)
        found = tom("stream", streams=streams, options=group, command=False)
        assert sorted(found["targets_kept"]) == objects
        assert found["lists"] == {name: sorted(one for one, _ in chosen[1:])}
        shutil.copy(fresh, tom.folder)
        assert tom("stream", streams=streams, options=group, command=False)["targets_kept"] == {}

    def test_a_handler_that_fails_ends_nothing(self, tom: Tom, nuncius: str) -> None:
        streams = self.streams(nuncius, "__main__.fail")
        assert tom("stream", streams=streams, options={}, command=False)["targets_kept"] == {}
        assert tom.said.count("a handler that fails") >= len(picked(nuncius))
