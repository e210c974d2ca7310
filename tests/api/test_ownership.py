"""Two people, a team, an administrator and nobody, over HTTP with everything real behind: whose things are whose."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from broker.api.policy import Auth, Quotas
from broker.ingest.raw import Kind, Received, to_message
from broker.settings import load
from broker.simulate import ztf
from broker.store import alerts, columns
from broker.wiring import running, serving
from broker.wiring.parts import Parts, open_parts
from tests.api.people import asked, bearer, populate
from tests.api.test_hidden import Reader

API = "/api/v1"
START = datetime(2026, 8, 1, 4, tzinfo=UTC)
TEXT = 'name = "{}"\nstream = "ztf"\ndescription = "x"\nwhere = "{}"\n[[example]]\nalert = {{}}\nmatches = false\n'
CSV = b"id,ra,dec\na,10,20\nb,30,-40\n"
KINDS = (("watchlists", CSV), ("regions", b"0/0-11"))


@dataclass(frozen=True)
class Stage:
    """A service, those who ask it, and an alert that all filters of theirs picked."""

    parts: Parts
    client: httpx.Client
    people: dict[str, dict[str, str]]
    alert_id: str

    def ask(self, who: str, method: str, path: str, **more: Any) -> httpx.Response:
        return self.client.request(method, f"{API}{path}", headers=self.people[who], **more)

    def names(self, who: str, path: str) -> set[str]:
        answer = self.ask(who, "GET", path)
        assert answer.status_code == 200, answer.text
        return {one["name"] for one in answer.json()["items"]}


def ingest(parts: Parts, seed: int, count: int, start: datetime) -> None:
    kind, bounds = Kind("ztf", "application/avro"), running.bounds(parts)
    packets = ztf.packets(seed, count, start, cutouts=False, history=1)
    parts.log.append([to_message(Received(one.data, f"file:{one.name}"), kind, bounds) for one in packets])
    running.drain(parts, lambda _records: None)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Hypatia's filters, watchlists and regions: private, her team's, public."""
    data = tmp_path_factory.mktemp("own") / "data"
    (data / "filters").mkdir(parents=True)
    (data / "nuncius.toml").write_text('filters = "filters"\n[store]\ndurable = false\n[log]\ndurable = false\n')
    with open_parts(load(data / "nuncius.toml"), data) as parts:
        populate(parts.store)
        scopes = ("read", "write:filters", "write:watchlists")
        people = {name: bearer(parts.store, name, *scopes) for name in ("hypatia", "theon", "stranger")}
        people |= {"admin": bearer(parts.store, "admin", "admin"), "nobody": {}}
        auth = Auth(required=True, quotas=Quotas(watchlists_per_user=3))
        with asked(replace(serving.services(parts), heartbeat=1.0), auth) as client:
            made = Stage(parts, client, people, "")
            for visibility in ("private", "team", "public"):
                shared = {"visibility": visibility} | ({"team": "moon"} if visibility == "team" else {})
                for kind, body in KINDS:
                    name = f"{visibility}_list"
                    answer = made.ask("hypatia", "POST", f"/{kind}", params={"name": name} | shared, content=body)
                    assert (answer.status_code, answer.json()["owner"], answer.json()["who"]) == (201, "hypatia", "hypatia")
                where = f"moc.{visibility}_list OR watchlist.{visibility}_list.inside"
                text = TEXT.format(f"{visibility}_filter", where)
                answer = made.ask("hypatia", "POST", "/filters", json={"text": text} | shared)
                assert answer.status_code == 201, answer.text
                to = {"state": "live", "force": True}
                answer = made.ask("hypatia", "POST", f"/filters/{visibility}_filter/versions/1/state", json=to)
                assert answer.status_code == 200, answer.text
            ingest(parts, 5, 60, START)
            ids = columns.scan(parts.frames, ["ztf"]).collect()["alert_id"]
            found = next(one for one in ids if len(alerts.get(parts.store, one)["matches"]) == 3)
            yield Stage(parts, client, people, found)


SEEN = {"hypatia": 3, "theon": 2, "stranger": 1, "admin": 3, "nobody": 1}
VISIBLE = {3: {"private", "team", "public"}, 2: {"team", "public"}, 1: {"public"}}


@pytest.mark.parametrize("who", SEEN)
class TestSeen:
    def test_lists_of_them(self, stage: Stage, who: str) -> None:
        seen = VISIBLE[SEEN[who]]
        assert stage.names(who, "/filters") == {f"{one}_filter" for one in seen}
        for kind, _ in KINDS:
            assert stage.names(who, f"/{kind}") == {f"{one}_list" for one in seen}

    def test_one_of_them(self, stage: Stage, who: str) -> None:
        for one in VISIBLE[3]:
            status = 200 if one in VISIBLE[SEEN[who]] else 404
            for path in (
                *(f"/filters/{one}_filter", f"/filters/{one}_filter/versions", f"/filters/{one}_filter/versions/1"),
                *(f"/watchlists/{one}_list", f"/watchlists/{one}_list/targets", f"/regions/{one}_list"),
                f"/regions/{one}_list/moc?format=ascii",
            ):
                assert stage.ask(who, "GET", path).status_code == status, path

    def test_matches_and_the_alert(self, stage: Stage, who: str) -> None:
        wanted = {f"{one}_filter" for one in VISIBLE[SEEN[who]]}
        rows = stage.ask(who, "GET", "/matches?since=0&limit=1000").json()["items"]
        assert {row["filter"] for row in rows} == wanted
        shown = stage.ask(who, "GET", f"/alerts/{quote(stage.alert_id, safe='')}").json()
        assert {one["filter"] for one in shown["matches"]} == wanted
        told = {name.split(".")[1] for name in shown["annotations"] if name.startswith(("watchlist.", "moc."))}
        assert told == {f"{one}_list" for one in VISIBLE[SEEN[who]]}

    def test_the_trace(self, stage: Stage, who: str) -> None:
        answer = stage.ask(who, "GET", f"/alerts/{quote(stage.alert_id, safe='')}/trace")
        steps = answer.json()["steps"]
        assert {one["filter"] for one in steps if "filter" in one} == {f"{one}_filter" for one in VISIBLE[SEEN[who]]}
        for hidden in VISIBLE[3] - VISIBLE[SEEN[who]]:
            assert f"{hidden}_" not in answer.text

    def test_columns_and_checks(self, stage: Stage, who: str) -> None:
        told = {name.split(".")[1] for name in stage.names(who, "/streams/ztf/columns") if name.startswith("watchlist.")}
        assert told == {f"{one}_list" for one in VISIBLE[SEEN[who]]}
        for one in VISIBLE[3]:
            draft = {"text": TEXT.format("x", f"in_moc('{one}_list')")}
            warned = any(
                "there is no region" in each for each in stage.ask(who, "POST", "/filters/check", json=draft).json()["warnings"]
            )
            assert warned == (one not in VISIBLE[SEEN[who]])

    def test_explanations_and_backtests(self, stage: Stage, who: str) -> None:
        for one in VISIBLE[3]:
            visible = one in VISIBLE[SEEN[who]]
            named, text = {"name": f"{one}_filter"}, {"text": TEXT.format("x", f"in_watchlist('{one}_list', 5)")}
            for path, ok in (("/filters/explain", 200), ("/backtests", 202)):
                assert stage.ask(who, "POST", path, json=named).status_code == (ok if visible else 404)
                answer = stage.ask(who, "POST", path, json=text)
                assert answer.status_code == (ok if visible else 400), answer.text
                assert visible or "no column" in answer.json()["detail"]


def done(stage: Stage, who: str, job: str) -> dict[str, Any]:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        told: dict[str, Any] = stage.ask(who, "GET", f"/backtests/{job}").json()
        if told["state"] != "running":
            return told
        time.sleep(0.05)
    raise TimeoutError(job)


def test_a_backtest_is_of_who_began_it(stage: Stage) -> None:
    text = TEXT.format("all", "mag < 99")
    for who, others in (("theon", ("hypatia", "stranger", "nobody")), ("nobody", ("stranger",))):
        job = stage.ask(who, "POST", "/backtests", json={"text": text, "force": True}).json()["id"]
        told = done(stage, who, job)
        assert told["state"] == "done", told
        assert set(told["result"]["overlap"]) == {f"{one}_filter" for one in VISIBLE[SEEN[who]]}
        assert "who" not in told
        for other in others:
            for path in (f"/backtests/{job}", f"/backtests/{job}/plot.png"):
                assert stage.ask(other, "GET", path).status_code == 404
        assert stage.ask(who, "GET", f"/backtests/{job}/plot.png").status_code == 200
        assert stage.ask("admin", "GET", f"/backtests/{job}").status_code == 200


CHANGES = (
    ("PUT", "/watchlists/{}_list", {"content": CSV}),
    ("PATCH", "/watchlists/{}_list", {"json": {"description": "seen"}}),
    ("PUT", "/watchlists/{}_list/targets/c", {"json": {"ra": 1, "dec": 2}}),
    ("DELETE", "/watchlists/{}_list/targets/c", {}),
    ("PUT", "/regions/{}_list", {"content": b"0/0-11"}),
    ("PATCH", "/regions/{}_list", {"json": {"description": "seen"}}),
)


@pytest.mark.parametrize(("method", "path", "more"), CHANGES)
def test_who_changes(stage: Stage, method: str, path: str, more: dict[str, Any]) -> None:
    allowed = {"private": {"hypatia", "admin"}, "team": {"hypatia", "theon", "admin"}, "public": {"hypatia", "admin"}}
    for one, may in allowed.items():
        for who, seen in SEEN.items():
            if method == "DELETE":  # something to take away
                stage.ask("admin", "PUT", path.format(one), json={"ra": 1, "dec": 2})
            answer = stage.ask(who, method, path.format(one), **more)
            refused = 401 if who == "nobody" else 403 if one in VISIBLE[seen] else 404
            assert answer.status_code == (200 if who in may else refused), (who, one, answer.text)


def test_what_is_hidden_is_as_if_it_were_not(stage: Stage) -> None:
    for path in ("/watchlists/{}", "/regions/{}", "/regions/{}/moc", "/filters/{}", "/filters/{}/versions/7"):
        for method in ("GET", "DELETE", "PATCH"):
            name = "private_filter" if "filters" in path else "private_list"
            body = {} if method == "GET" else {"json": {"description": "x"}}
            hidden, missing = (stage.ask("stranger", method, path.format(each), **body) for each in (name, "priwate_list"))
            assert hidden.status_code == missing.status_code, path
            assert hidden.text.replace(name, "*") == missing.text.replace("priwate_list", "*"), path
    near = stage.ask("stranger", "GET", "/watchlists/privat_list").json()["detail"]
    assert "private_list" not in near
    assert "private_list" in stage.ask("hypatia", "GET", "/watchlists/privat_list").json()["detail"]


@pytest.mark.parametrize("kind", ["watchlists", "regions"])
def test_making(stage: Stage, kind: str) -> None:
    body = dict(KINDS)[kind]

    def make(who: str, name: str, **more: str) -> httpx.Response:
        return stage.ask(who, "POST", f"/{kind}", params={"name": name, **more}, content=body)

    assert make("nobody", "x").status_code == 401
    assert make("hypatia", "fourth").status_code == 403  # of three
    assert make("stranger", "x", owner="hypatia").status_code == 403
    assert make("stranger", "x", visibility="team", team="moon").status_code == 403
    assert make("stranger", "x", visibility="team").status_code == 403
    assert make("stranger", "private_list").status_code == 409
    assert make("stranger", "mine", visibility="private").json()["owner"] == "stranger"
    path = f"/{kind}/mine"
    assert stage.ask("stranger", "PATCH", path, json={"owner": "theon"}).status_code == 403
    assert stage.ask("stranger", "PATCH", path, json={"team": "moon"}).status_code == 403
    assert stage.ask("theon", "GET", path).status_code == 404
    assert stage.ask("admin", "PATCH", path, json={"owner": "hypatia", "visibility": "team", "team": "moon"}).status_code == 200
    assert stage.ask("theon", "GET", path).json()["team"] == "moon"
    assert stage.ask("stranger", "GET", path).status_code == 404
    assert stage.ask("theon", "PATCH", path, json={"team": "", "visibility": "private"}).status_code == 200
    assert stage.ask("theon", "DELETE", path).status_code == 404
    assert stage.ask("hypatia", "DELETE", path).status_code == 204
    assert make("admin", "x", owner="theon").json()["owner"] == "theon"
    assert stage.ask("hypatia", "DELETE", f"/{kind}/x").status_code == 403
    assert stage.ask("theon", "DELETE", f"/{kind}/x").status_code == 204


def test_a_filter_cannot_read_others_lists(stage: Stage) -> None:
    for number, one in enumerate(("private", "team")):
        reading = {"text": TEXT.format(f"spy{number}", f"watchlist.{one}_list.inside")}
        answer = stage.ask("stranger", "POST", "/filters", json=reading)
        assert (answer.status_code, "no column" in answer.json()["detail"]) == (400, True)
        chosen = TEXT.format(f"spy{number}", "mag < 99").replace("[[", f'select = ["moc.{one}_list AS s"]\n[[')
        assert stage.ask("stranger", "POST", "/filters", json={"text": chosen}).status_code == 400
    assert stage.ask("stranger", "POST", "/filters", json={"text": TEXT.format("later", "moc.open_list")}).status_code == 201
    edit = {"text": TEXT.format("later", "moc.team_list"), "base": 1}
    assert stage.ask("stranger", "PUT", "/filters/later", json=edit).status_code == 400
    made = stage.ask("theon", "POST", "/regions", params={"name": "open_list", "visibility": "private"}, content=b"0/0-11")
    assert made.status_code == 201
    for state in ("tested", "live"):
        answer = stage.ask("stranger", "POST", "/filters/later/versions/1/state", json={"state": state, "force": True})
        assert answer.status_code == 400
    stage.ask("theon", "PATCH", "/regions/open_list", json={"visibility": "public"})
    answer = stage.ask("stranger", "POST", "/filters/later/versions/1/state", json={"state": "tested", "force": True})
    assert answer.status_code == 200, answer.text


def test_a_list_in_use_by_who_knows_whom(stage: Stage) -> None:
    made = stage.ask("stranger", "POST", "/regions", params={"name": "asked_for"}, content=b"0/0-11")
    assert made.status_code == 201
    text = TEXT.format("asking", "moc.asked_for")
    assert stage.ask("theon", "POST", "/filters", json={"text": text, "visibility": "private"}).status_code == 201
    stage.ask("theon", "POST", "/filters/asking/versions/1/state", json={"state": "live", "force": True})
    refused = stage.ask("stranger", "DELETE", "/regions/asked_for")
    assert (refused.status_code, "asking" in refused.text, "a filter of others" in refused.text) == (409, False, True)
    stage.ask("theon", "POST", "/filters/asking/versions/1/state", json={"state": "retired"})
    assert stage.ask("stranger", "DELETE", "/regions/asked_for").status_code == 204


def test_the_live_stream(stage: Stage) -> None:
    url = f"{str(stage.client.base_url).rstrip('/')}{API}/live"
    readers = {who: Reader(url, stage.people[who]) for who in ("hypatia", "theon", "nobody")}
    for reader in readers.values():
        reader.wait("ready", 1)
    ingest(stage.parts, 6, 40, START.replace(day=2))
    for who, reader in readers.items():
        with reader.more:
            wanted = {f"{one}_filter" for one in VISIBLE[SEEN[who]]}
            assert reader.more.wait_for(lambda: set(reader.filters()) >= wanted, 60)  # noqa: B023 - waited for in its turn
        assert set(reader.filters()) == wanted
        for hidden in VISIBLE[3] - VISIBLE[SEEN[who]]:
            assert not any(f"{hidden}_" in event["data"] for event in reader.events)
    for reader in readers.values():
        reader.close()
