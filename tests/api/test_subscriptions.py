"""Subscriptions over HTTP, with everything real behind: made, changed, ended; and whose they are."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import numpy as np
import pytest
import standardwebhooks

from broker.api.policy import Auth, Quotas
from broker.store import deliveries, subscriptions, tokens
from broker.wiring import serving
from broker.wiring.parts import Parts
from tests.api.people import asked, bearer, populate
from tests.api.subscribed import SECOND, filter_named, now, parts_in, pending, settled, webhook

API = "/api/v1"
PASSWORD = "not-to-be-shown"  # of nobody


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    with parts_in(tmp_path_factory.mktemp("subscriptions")) as made:
        yield made


@pytest.fixture(scope="module")
def client(parts: Parts) -> Iterator[httpx.Client]:
    with asked(serving.services(parts), Auth()) as made:
        filter_named(made, "bright")
        filter_named(made, "faint")
        yield made


def make(client: httpx.Client, *filters: str, **more: Any) -> dict[str, Any]:
    answer = client.post(f"{API}/subscriptions", json=webhook(*(filters or ("bright",)), **more))
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


class TestMaking:
    def test_a_webhook_with_a_secret_shown_this_once(self, client: httpx.Client) -> None:
        made = make(client, "bright", "faint", note="a telescope")
        secret = made.pop("secret")
        standardwebhooks.Webhook(secret).sign("dlv_x", datetime.now(UTC), "{}")  # the reference library takes it
        assert made.pop("password") is None
        assert made["filters"] == ["bright", "faint"]
        assert made["target"] == {"url": "http://127.0.0.1:9/hook", "format": "json"}
        assert (made["state"], made["updates"], made["only_first"], made["deliveries"]) == ("active", "all", False, {})
        shown = client.get(f"{API}/subscriptions/{made['id']}")
        assert shown.json() == made
        listed = client.get(f"{API}/subscriptions")
        assert made in listed.json()["items"]
        assert secret not in shown.text + listed.text
        assert "secret" not in shown.json()

    def test_a_secret_of_ones_own(self, client: httpx.Client) -> None:
        secret = "whsec_" + base64.b64encode(b"x" * 24).decode()
        assert make(client, secret=secret)["secret"] == secret

    def test_everything_that_can_be_said(self, client: httpx.Client) -> None:
        said = {"rate": 30, "digest": 15, "only_first": True, "updates": "retractions", "note": "ünï"}
        quiet = {"start": "22:00", "end": "07:30:15", "zone": "Europe/Rome"}
        made = make(client, quiet=quiet, **said)
        assert {name: made[name] for name in said} == said
        assert made["quiet"] == {"start": "22:00:00", "end": "07:30:15", "zone": "Europe/Rome"}

    def test_addresses_of_messages_are_not_shown_whole(self, client: httpx.Client) -> None:
        urls = [f"mailtos://hypatia:{PASSWORD}@example.org?to=theon@example.org", "slack://TokenAAAA/TokenBBBB/TokenCCCCCCCC"]
        wanted = {"filters": ["bright"], "channel": "message", "target": {"urls": urls}}
        answer = client.post(f"{API}/subscriptions", json=wanted)
        assert answer.status_code == 201, answer.text
        ident = answer.json()["id"]
        answers = [
            answer,
            client.get(f"{API}/subscriptions/{ident}"),
            client.get(f"{API}/subscriptions"),
            client.patch(f"{API}/subscriptions/{ident}", json={"note": "x"}),
        ]
        for each in answers:
            assert each.is_success
            assert "example.org" in each.text
            assert PASSWORD not in each.text
            assert "TokenCCCCCCCC" not in each.text
        assert answer.json()["secret"] is None

    @pytest.mark.parametrize(
        ("more", "status", "said"),
        [
            ({"filters": ["nobody"]}, 404, "no filter 'nobody'"),
            ({"filters": ["bright", "nobody"]}, 404, "no filter 'nobody'"),
            ({"filters": []}, 400, "body.filters"),
            ({"channel": "pigeon"}, 400, "body.channel"),
            ({"channel": "message"}, 400, "the target of a message has urls"),
            ({"channel": "kafka"}, 400, "the target of a kafka has user"),
            ({"target": {"urls": ["mailto://x@example.org"]}}, 400, "the target of a webhook has url"),
            ({"target": {"url": "https://example.org", "format": "pdf"}}, 400, "body.target"),
            ({"target": {"url": "ftp://example.org/"}}, 400, "https:// or http://"),
            ({"target": {"url": "https://me:secret@example.org/"}}, 400, "password"),
            ({"target": {"url": "http://10.1.2.3/hook"}}, 400, "deliver.allow"),
            ({"target": {"url": "http://169.254.169.254/latest/meta-data"}}, 400, "deliver.allow"),
            ({"target": {"url": "http://[::1]/"}}, 400, "deliver.allow"),
            ({"target": {"url": "http://[::ffff:10.0.0.1]/"}}, 400, "deliver.allow"),
            ({"secret": "guess"}, 400, "whsec_"),
            ({"secret": "whsec_eA=="}, 400, "24 to 64"),
            ({"rate": 0}, 400, "body.rate"),
            ({"digest": 1441}, 400, "body.digest"),
            ({"quiet": {"start": "25:00", "end": "07:00"}}, 400, "22:00-07:00"),
            ({"quiet": {"start": "07:00", "end": "07:00"}}, 400, "they end when they begin"),
            ({"quiet": {"start": "22:00", "end": "07:00", "zone": "Europe/Rom"}}, 400, "zone 'Europe/Rom'"),
            ({"quiet": {"start": "22:00", "end": "07:00", "zone": "../../etc/passwd"}}, 400, "zone"),
            ({"updates": "some"}, 400, "body.updates"),
            ({"note": "\0"}, 400, "body.note"),
            ({"state": "active"}, 400, "body.state"),
        ],
    )
    def test_what_cannot_be_is_refused_and_not_kept(
        self, client: httpx.Client, parts: Parts, more: dict[str, Any], status: int, said: str
    ) -> None:
        before = subscriptions.listing(parts.store)
        answer = client.post(f"{API}/subscriptions", json={**webhook("bright"), **more})
        assert answer.status_code == status, answer.text
        assert said in answer.json()["detail"]
        assert subscriptions.listing(parts.store) == before

    @pytest.mark.parametrize("url", ["nosuch://x", "json://10.0.0.1/hook", "x", "", "file:///etc/passwd"])
    def test_messages_go_where_they_may(self, client: httpx.Client, url: str) -> None:
        wanted = {"filters": ["bright"], "channel": "message", "target": {"urls": [url]}}
        assert client.post(f"{API}/subscriptions", json=wanted).status_code == 400

    def test_kafka_users_are_of_a_cluster_with_passwords(self, client: httpx.Client, parts: Parts) -> None:
        before = subscriptions.listing(parts.store)
        wanted = {"filters": ["bright"], "channel": "kafka", "target": {"user": "hypatia"}}
        answer = client.post(f"{API}/subscriptions", json=wanted)
        assert answer.status_code == 400, answer.text
        assert "Kafka" in answer.json()["detail"]
        assert subscriptions.listing(parts.store) == before


class TestChanging:
    def test_paused_and_going_on(self, client: httpx.Client) -> None:
        path = f"{API}/subscriptions/{make(client)['id']}"
        for state in ("paused", "active"):
            answer = client.patch(path, json={"state": state})
            assert (answer.status_code, answer.json()["state"]) == (200, state)
            assert client.get(path).json()["state"] == state
        assert client.patch(path, json={"state": "removed"}).status_code == 400

    def test_what_is_left_out_stays_and_null_takes_away(self, client: httpx.Client) -> None:
        quiet = {"start": "22:00", "end": "07:00"}
        made = make(client, rate=30, digest=15, quiet=quiet, note="kept", only_first=True, updates="none")
        path = f"{API}/subscriptions/{made['id']}"
        changed = client.patch(path, json={"rate": None, "quiet": None, "note": None, "only_first": None}).json()
        assert (changed["rate"], changed["quiet"]) == (None, None)
        assert (changed["digest"], changed["note"], changed["only_first"], changed["updates"]) == (15, "kept", True, "none")
        changed = client.patch(path, json={"digest": None, "filters": ["faint"], "only_first": False}).json()
        assert (changed["digest"], changed["filters"], changed["only_first"]) == (None, ["faint"], False)

    def test_another_address(self, client: httpx.Client) -> None:
        path = f"{API}/subscriptions/{make(client)['id']}"
        target = {"url": "https://example.org/", "format": "voevent"}
        assert client.patch(path, json={"target": target}).json()["target"] == target
        for wrong in ({"url": "http://10.0.0.1/"}, {"urls": ["mailto://a@example.org"]}, {"user": "x"}):
            assert client.patch(path, json={"target": wrong}).status_code == 400, wrong
        assert client.get(path).json()["target"] == target

    def test_another_secret_is_shown_once_too(self, client: httpx.Client, parts: Parts) -> None:
        made = make(client)
        path = f"{API}/subscriptions/{made['id']}"
        assert client.patch(path, json={"rate": 5}).json()["secret"] is None
        fresh = client.patch(path, json={"secret": ""}).json()["secret"]
        assert fresh.startswith("whsec_")
        assert fresh != made["secret"]
        both = f"{fresh} {made['secret']}"
        assert client.patch(path, json={"secret": both}).json()["secret"] == both
        assert subscriptions.get(parts.store, made["id"]).secret == both
        assert client.patch(path, json={"secret": "x"}).status_code == 400
        assert both not in client.get(path).text

    def test_no_secret_for_what_is_not_signed(self, client: httpx.Client) -> None:
        wanted = {
            "filters": ["bright"],
            "channel": "message",
            "target": {"urls": ["mailtos://a:b@example.org?to=a@example.org"]},
        }
        ident = client.post(f"{API}/subscriptions", json=wanted).json()["id"]
        assert client.patch(f"{API}/subscriptions/{ident}", json={"secret": ""}).status_code == 400
        assert client.post(f"{API}/subscriptions", json=wanted | {"secret": ""}).status_code == 400

    def test_filters_that_are_not_there(self, client: httpx.Client) -> None:
        path = f"{API}/subscriptions/{make(client)['id']}"
        assert client.patch(path, json={"filters": ["bright", "nobody"]}).status_code == 404
        assert client.get(path).json()["filters"] == ["bright"]

    def test_ended_with_what_waits_for_it(self, client: httpx.Client, parts: Parts) -> None:
        made = make(client)
        path = f"{API}/subscriptions/{made['id']}"
        (waits,) = pending(parts.store, made["id"], "ztf:1")
        assert client.get(path).json()["deliveries"] == {"pending": 1}
        assert client.delete(path).status_code == 204
        assert client.get(f"{API}/deliveries/{waits}").json()["state"] == "cancelled"
        assert client.get(path).json()["state"] == "removed"
        assert made["id"] not in client.get(f"{API}/subscriptions").text
        for answer in (client.delete(path), client.patch(path, json={"state": "active"})):
            assert answer.status_code == 404
        assert client.post(f"{path}/test").status_code == 409
        assert client.post(f"{API}/deliveries/{waits}/replay").status_code == 409
        assert client.get(f"{API}/subscriptions/sub_000000000000").status_code == 404

    def test_what_there_was_no_room_for_is_told(self, client: httpx.Client, parts: Parts) -> None:
        path = f"{API}/subscriptions/{make(client)['id']}"
        before = client.get(path).json()
        assert (before["left_out"], before["left_out_at"], before["trouble"]) == (0, None, None)
        for number in (3, 4):
            subscriptions.leave_out(parts.store, {before["id"]: number})
        after = client.get(path).json()
        assert after["left_out"] == 7
        assert after["left_out_at"] > after["changed"] == before["changed"]

    def test_a_test_is_a_delivery(self, client: httpx.Client, parts: Parts) -> None:
        made = make(client)
        answer = client.post(f"{API}/subscriptions/{made['id']}/test")
        assert answer.status_code == 202
        told = answer.json()
        assert (told["change"], told["state"], told["subscription"]) == ("test", "pending", made["id"])
        assert client.post(f"{API}/subscriptions/{made['id']}/test").status_code == 409  # one at a time
        settled(parts.store, made["id"], [told["id"]], ok=True)
        whole = client.get(f"{API}/deliveries/{told['id']}").json()
        assert (whole["state"], whole["status"], whole["data"]["delivery_id"]) == ("delivered", 204, told["id"])


def test_latencies_are_those_of_what_was_acknowledged(client: httpx.Client, parts: Parts) -> None:
    made = make(client)
    path = f"{API}/subscriptions/{made['id']}/latency"
    assert client.get(path).json() == {"count": 0, "p50": None, "p99": None}
    start, waited = now(), [0.25, 0.5, 1.0, 40.0, 3.0]
    for number, seconds in enumerate(waited):
        idents = pending(parts.store, made["id"], f"ztf:{number}", received=start)
        settled(parts.store, made["id"], idents, ok=True, done=start + round(seconds * SECOND))
    settled(parts.store, made["id"], pending(parts.store, made["id"], "ztf:failed"), ok=False)
    told = client.get(path).json()
    assert told["count"] == len(waited)
    assert [told["p50"], told["p99"]] == pytest.approx(np.percentile(waited, [50, 99]))
    assert client.get(f"{API}/subscriptions/{made['id']}").json()["deliveries"] == {"delivered": 5, "failed": 1}


@dataclass(frozen=True)
class Stage:
    """A service that asks for accounts, and what hypatia has there."""

    parts: Parts
    client: httpx.Client
    people: dict[str, dict[str, str]]
    ident: str
    delivery: str

    def ask(self, who: str, method: str, path: str, **more: Any) -> httpx.Response:
        return self.client.request(method, f"{API}{path}", headers=self.people[who], **more)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with parts_in(tmp_path_factory.mktemp("whose")) as parts:
        populate(parts.store)
        scopes = ("read", "write:filters", "write:subscriptions")
        people = {name: bearer(parts.store, name, *scopes) for name in ("hypatia", "theon", "stranger")}
        people |= {"admin": bearer(parts.store, "admin", "admin"), "nobody": {}}
        people |= {"reader": bearer(parts.store, "hypatia", "read"), "writer": bearer(parts.store, "hypatia", scopes[2])}
        auth = Auth(required=True, quotas=Quotas(subscriptions_per_user=3))
        services = replace(serving.services(parts), auth=auth)
        with asked(services, auth) as client:
            for visibility in ("private", "team", "public"):
                shared = {"visibility": visibility} | ({"team": "moon"} if visibility == "team" else {})
                filter_named(client, f"{visibility}_filter", people["hypatia"], **shared)
            made = client.post(f"{API}/subscriptions", json=webhook("private_filter"), headers=people["hypatia"])
            assert (made.status_code, made.json()["owner"]) == (201, "hypatia"), made.text
            ident = made.json()["id"]
            (delivery,) = pending(parts.store, ident, "ztf:1")
            settled(parts.store, ident, [delivery], ok=False)
            yield Stage(parts, client, people, ident, delivery)


class TestWhose:
    @pytest.mark.parametrize(
        ("who", "name", "status"),
        [
            ("theon", "private_filter", 404),
            ("stranger", "private_filter", 404),
            ("stranger", "team_filter", 404),
            ("theon", "team_filter", 201),
            ("stranger", "public_filter", 201),
            ("admin", "private_filter", 201),
            ("nobody", "public_filter", 401),
            ("reader", "public_filter", 403),
        ],
    )
    def test_to_filters_that_one_may_see(self, stage: Stage, who: str, name: str, status: int) -> None:
        answer = stage.ask(who, "POST", "/subscriptions", json=webhook(name))
        assert answer.status_code == status, answer.text
        if status == 404:
            missing = stage.ask(who, "POST", "/subscriptions", json=webhook("nobody"))
            assert answer.text.replace(name, "*") == missing.text.replace("nobody", "*")
        if status == 201:
            ident = answer.json()["id"]
            other = stage.ask(who, "PATCH", f"/subscriptions/{ident}", json={"filters": [name, "private_filter"]})
            assert other.status_code == (200 if who == "admin" else 404)
            assert stage.ask(who, "DELETE", f"/subscriptions/{ident}").status_code == 204

    def test_seen_by_their_owner_and_administrators(self, stage: Stage) -> None:
        for who, seen in {"hypatia": 1, "reader": 1, "admin": 1, "theon": 0, "stranger": 0, "nobody": 0, "writer": 0}.items():
            for path in ("/subscriptions", "/deliveries", "/deliveries?state=failed"):
                answer = stage.ask(who, "GET", path)
                assert (answer.status_code, len(answer.json()["items"])) == (200, seen), (who, path)
            for path in (
                f"/subscriptions/{stage.ident}",
                f"/subscriptions/{stage.ident}/latency",
                f"/deliveries/{stage.delivery}",
                f"/deliveries?subscription={stage.ident}",
            ):
                assert stage.ask(who, "GET", path).status_code == (200 if seen else 404), (who, path)

    def test_tokens_in_the_path_of_a_webhook_are_its_owners(self, stage: Stage) -> None:
        url = "http://127.0.0.1:9/services/T1/token?key=more"
        made = stage.ask("hypatia", "POST", "/subscriptions", json=webhook("public_filter", url=url)).json()
        assert made["target"]["url"] == url
        shown = {who: stage.ask(who, "GET", f"/subscriptions/{made['id']}").json() for who in ("hypatia", "reader", "admin")}
        urls = {who: one["target"]["url"] for who, one in shown.items()}
        assert urls == {"hypatia": url, "reader": url, "admin": "http://127.0.0.1:9/***"}
        assert "token" not in stage.ask("admin", "GET", "/subscriptions").text
        note = stage.ask("admin", "PATCH", f"/subscriptions/{made['id']}", json={"note": "seen"})
        assert "token" not in note.text
        assert stage.ask("hypatia", "GET", f"/subscriptions/{made['id']}").json()["target"]["url"] == url
        assert stage.ask("hypatia", "DELETE", f"/subscriptions/{made['id']}").status_code == 204

    def test_others_are_as_if_they_were_not(self, stage: Stage) -> None:
        pairs = [
            (f"/subscriptions/{stage.ident}", "/subscriptions/sub_ffffffffffff"),
            (f"/deliveries/{stage.delivery}", "/deliveries/x"),
        ]
        for mine, missing in pairs:
            for method, more in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/test"), ("POST", "/replay")):
                body = {"json": {"note": "seen"}} if method == "PATCH" else {}
                for who in ("theon", "stranger"):
                    one, other = (stage.ask(who, method, path + more, **body) for path in (mine, missing))
                    assert one.status_code == other.status_code, (method, mine, more)
                    assert one.status_code in {403, 404, 405}
                    strip = mine.rpartition("/")[2], missing.rpartition("/")[2]
                    assert one.text.replace(strip[0], "*") == other.text.replace(strip[1], "*")

    def test_changed_by_their_owner_and_administrators(self, stage: Stage) -> None:
        for who in ("hypatia", "writer", "admin"):
            answer = stage.ask(who, "PATCH", f"/subscriptions/{stage.ident}", json={"note": who})
            assert (answer.status_code, answer.json()["note"], answer.json()["owner"]) == (200, who, "hypatia")
        for method, path in (
            ("PATCH", f"/subscriptions/{stage.ident}"),
            ("DELETE", f"/subscriptions/{stage.ident}"),
            ("POST", f"/subscriptions/{stage.ident}/test"),
            ("POST", f"/deliveries/{stage.delivery}/replay"),
        ):
            assert stage.ask("reader", method, path, json={}).status_code == 403
            assert stage.ask("nobody", method, path, json={}).status_code == 401

    def test_a_kafka_user_is_of_ones_own_name(self, stage: Stage) -> None:
        wanted = {"filters": ["public_filter"], "channel": "kafka", "target": {"user": "hypatia"}}
        refused = stage.ask("stranger", "POST", "/subscriptions", json=wanted)
        assert (refused.status_code, "'stranger'" in refused.json()["detail"]) == (403, True)

    def test_quotas_hold_for_many_at_once(self, stage: Stage) -> None:
        with ThreadPoolExecutor(8) as pool:
            codes = list(
                pool.map(
                    lambda _: stage.ask("stranger", "POST", "/subscriptions", json=webhook("public_filter")).status_code,
                    range(12),
                )
            )
        assert sorted(codes) == [201] * 3 + [403] * 9
        ident = stage.ask("stranger", "GET", "/subscriptions").json()["items"][0]["id"]
        assert stage.ask("stranger", "DELETE", f"/subscriptions/{ident}").status_code == 204
        assert stage.ask("stranger", "POST", "/subscriptions", json=webhook("public_filter")).status_code == 201

    def test_where_reading_asks_for_an_account(self, stage: Stage) -> None:
        closed = Auth(required=True, public_read=False)
        writer, _ = tokens.make(stage.parts.store, "hypatia", ["write:subscriptions"])
        with asked(serving.services(stage.parts), closed) as client:
            for path in ("/subscriptions", "/deliveries", f"/subscriptions/{stage.ident}"):
                assert client.get(API + path).status_code == 401
                assert client.get(API + path, headers={"Authorization": f"Bearer {writer}"}).status_code == 403
        assert deliveries.get(stage.parts.store, stage.delivery).state == "failed"


def test_nobody_waits_for_what_another_subscribes_to(tmp_path: Path) -> None:
    """Kafka takes its time where somebody is let in."""
    began, go = Event(), Event()
    with parts_in(tmp_path) as parts:
        populate(parts.store)
        services, auth = serving.services(parts), Auth(required=True)

        def add(values: Mapping[str, Any]) -> Any:
            if values["note"] == "slow":
                began.set()
                assert go.wait(30)
            return services.subscribing.add(values)

        people = {
            name: bearer(parts.store, name, "read", "write:filters", "write:subscriptions") for name in ("hypatia", "theon")
        }
        slow = replace(services, subscribing=replace(services.subscribing, add=add))
        with asked(slow, auth) as client, ThreadPoolExecutor(1) as pool:
            filter_named(client, "bright", people["hypatia"], visibility="public")

            def subscribe(who: str, note: str) -> int:
                asks = webhook("bright", note=note)
                return client.post(f"{API}/subscriptions", json=asks, headers=people[who], timeout=20).status_code

            first = pool.submit(subscribe, "hypatia", "slow")
            try:
                assert began.wait(30)
                assert subscribe("theon", "at once") == 201
            finally:
                go.set()
            assert first.result(30) == 201
