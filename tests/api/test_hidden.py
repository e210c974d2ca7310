"""Of a filter or a watchlist that somebody may not see, no answer says anything."""

from __future__ import annotations

import base64
import json
import threading
import zlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import quote

import httpx
import pytest

from broker.api.policy import Auth
from broker.api.principal import (
    EVERYONE,
    ForbiddenError,
    Principal,
    changed_by,
    may_change,
    may_see,
    may_share,
    within,
)
from broker.api.services import PublishedSchema
from broker.errors import NotFoundError
from broker.store import filters, lists, tokens
from broker.telemetry import MATCHES
from consumers import RequestError, fetch_packet, subscribe
from tests.api.people import Thing, asked, bearer, populate
from tests.api.world import BIG, SCHEMAS, World, survey_alert, world, write

PRIVATE, TEAMS = "young-supernova", "gamma-ray-burst"
OWNERS = {PRIVATE: Thing("hypatia", None, "private"), TEAMS: Thing("hypatia", "moon", "team")}
LISTS = {"watchlist.mine": Thing("hypatia", None, "private"), "moc.ours": Thing("hypatia", "moon", "team")}
LISTED = f"ztf:{BIG + 500}"


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("hidden")) as made:
        populate(made.store)
        for name, owned in OWNERS.items():
            filters.share(made.store, name, lists.Ownership(owned.owner, owned.team, owned.visibility))
        columns = {"watchlist.mine.sep": 1.25, "watchlist.mineral.sep": 2.5, "moc.ours": True}
        write(made.store, [survey_alert(500, minutes=600) | columns], {PRIVATE: [LISTED], TEAMS: [LISTED]})
        schemas = [PublishedSchema(7, f"matched.{name}-value", 1, SCHEMAS[0].schema) for name in (PRIVATE, TEAMS, "other")]
        MATCHES.labels(PRIVATE).inc()
        MATCHES.labels("other").inc()
        services = replace(
            made.services,
            auth=Auth(required=True),
            filter_owners=lambda: OWNERS,
            column_owners=lambda: LISTS,
            schemas=(*SCHEMAS, *schemas),
            status=lambda: {"matches": {PRIVATE: 3, TEAMS: 2, "other": 1}},
        )
        yield replace(made, services=services)


@pytest.fixture(scope="module")
def client(there: World) -> Iterator[httpx.Client]:
    with asked(there.services, there.services.auth) as made:
        yield made


def addresses(client: httpx.Client) -> list[str]:
    """Every address that is only read, of things that are there."""
    known = {"alert_id": LISTED, "object_id": "ZTF24aa00500", "subject": "nuncius.alert", "version": "1", "schema_id": "7"}
    known |= {"kind": "science", "coincidence": "x", "team": "moon", "stream": "ztf", "job_id": "x", "token": "x", "ident": "x"}
    found = []
    for path, operations in client.get("/api/v1/openapi.json").json()["paths"].items():
        if "get" not in operations or path == "/api/v1/live" or "/oidc/" in path:
            continue
        named = path.replace("{name}", "bright-transient" if "/filters/" in path else "S240422ed")
        for name, value in known.items():
            named = named.replace(f"{{{name}}}", quote(value, safe=""))
        assert "{" not in named, path
        found.append(named)
    found += [f"/api/v1/alerts?id={LISTED}", "/api/v1/alerts?object=ZTF24aa00500&format=csv", "/metrics"]
    found += ["/api/v1/matches?since=0&limit=1000", "/subjects", "/schemas/ids/7/subjects", "/schemas/ids/7/versions"]
    return found


def everything(client: httpx.Client, headers: dict[str, str]) -> dict[str, str]:
    return {path: client.get(path, headers=headers).text for path in addresses(client)}


class TestOverHttp:
    def test_what_is_private_is_nowhere(self, there: World, client: httpx.Client) -> None:
        nobody = everything(client, {})
        stranger = everything(client, bearer(there.store, "stranger", "read"))
        blind = everything(client, bearer(there.store, "hypatia", "write:filters"))  # what is not public asks for read
        assert len(nobody) > 30
        for answers in (nobody, stranger, blind):
            for path, text in answers.items():
                for secret in (PRIVATE, TEAMS, "watchlist.mine.", "moc.ours"):
                    assert secret not in text, path
            assert "watchlist.mineral.sep" in answers[f"/api/v1/alerts/{quote(LISTED, safe='')}"]

    def test_a_team_sees_its_own(self, there: World, client: httpx.Client) -> None:
        member = everything(client, bearer(there.store, "theon", "read"))
        for path, text in member.items():
            assert PRIVATE not in text, path
            assert "watchlist.mine." not in text, path
        for path in ("/api/v1/filters", "/api/v1/matches?since=0&limit=1000", "/subjects", "/api/v1/status"):
            assert TEAMS in member[path], path
        assert "moc.ours" in member[f"/api/v1/alerts?id={LISTED}"]

    @pytest.mark.parametrize("who", ["hypatia", "admin"])
    def test_the_owner_and_administrators_see_all(self, there: World, client: httpx.Client, who: str) -> None:
        headers = bearer(there.store, who, "admin" if who == "admin" else "read")
        seen = everything(client, headers)
        alert = f"/api/v1/alerts/{quote(LISTED, safe='')}"
        for path in (
            "/api/v1/filters",
            "/api/v1/matches?since=0&limit=1000",
            "/subjects",
            "/registry/subjects",
            "/metrics",
            alert,
        ):
            assert PRIVATE in seen[path], path
        assert "watchlist.mine.sep" in seen[alert]
        assert client.get(f"/api/v1/filters/{PRIVATE}", headers=headers).status_code == 200

    def test_asked_for_by_name_it_is_as_if_it_were_not(self, client: httpx.Client) -> None:
        for pattern in (
            "/api/v1/filters/{}",
            "/api/v1/matches?filter={}",
            "/api/v1/alerts?filter={}",
            "/api/v1/alerts?filter={}&where=mag<30",
            "/api/v1/live?filter={}",
            "/subjects/matched.{}-value/versions",
            "/registry/subjects/matched.{}-value/versions/latest",
        ):
            hidden, missing = (client.get(pattern.format(name)) for name in (PRIVATE, "nosuch"))
            assert hidden.status_code == missing.status_code, pattern
            assert hidden.text.replace(PRIVATE, "*") == missing.text.replace("nosuch", "*"), pattern

    @pytest.mark.parametrize(
        "query", ["where=watchlist.mine.sep<5", "where=mag<30&columns=watchlist.mine.sep", "where=mag<30 OR moc.ours"]
    )
    def test_a_condition_cannot_feel_its_way(self, there: World, client: httpx.Client, query: str) -> None:
        answer = client.get(f"/api/v1/alerts?{query}")
        assert answer.status_code == 400
        assert "no column" in answer.json()["detail"]
        owner = bearer(there.store, "hypatia", "read")
        assert "that you may see" not in client.get(f"/api/v1/alerts?{query}", headers=owner).text

    def test_a_counter_of_nobodys_stays(self, client: httpx.Client) -> None:
        text = client.get("/metrics").text
        assert 'nuncius_matches_total{filter="other"}' in text
        assert "# TYPE nuncius_matches_total counter" in text


class Reader:
    """Someone who reads the live matches, in a thread."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self.events: list[dict[str, str]] = []
        self.more = threading.Condition()
        self.ended = self.closing = False
        self._url, self._headers = url, headers
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        with httpx.Client(timeout=30) as client, client.stream("GET", self._url, headers=self._headers) as answer:
            event: dict[str, str] = {}
            for line in answer.iter_lines():
                if self.closing:
                    break
                name, _, value = line.partition(": ")
                if line:
                    event[name] = value
                elif "event" in event:
                    with self.more:
                        self.events.append(event)
                        self.more.notify_all()
                    event = {}
        with self.more:
            self.ended = True
            self.more.notify_all()

    def close(self) -> None:
        self.closing = True  # seen at the next sign of life
        self.thread.join(30)

    def wait(self, what: str, count: int) -> list[dict[str, str]]:
        with self.more:
            assert self.more.wait_for(lambda: len(self.told(what)) >= count, 30)
            return self.told(what)

    def told(self, what: str) -> list[dict[str, str]]:
        return [event for event in self.events if event["event"] == what]

    def filters(self) -> list[str]:
        return [json.loads(event["data"])["filter"] for event in self.told("match")]


def place(event: dict[str, str]) -> str:
    """What the id of an event says."""
    ident = event["id"]
    return zlib.decompress(base64.urlsafe_b64decode(ident + "=" * (-len(ident) % 4))).decode()


class TestLive:
    def test_everyone_is_told_what_they_may_see(self, there: World, client: httpx.Client) -> None:
        url = f"{client.base_url}/api/v1/live".replace("//api", "/api")
        there.publish(survey_alert(600), PRIVATE)  # the topics are there before the readers
        nobody, owner = Reader(url, {}), Reader(url, bearer(there.store, "hypatia", "read"))
        for reader in (nobody, owner):
            reader.wait("ready", 1)
        row = survey_alert(601) | {"watchlist.mine.sep": 1.0}
        for name in (PRIVATE, TEAMS, "bright-transient"):
            there.publish(row, name)
        owner.wait("match", 3)
        (seen,) = nobody.wait("match", 1)
        assert sorted(owner.filters()) == sorted([PRIVATE, TEAMS, "bright-transient"])
        assert nobody.filters() == ["bright-transient"]
        for event in nobody.events:
            assert PRIVATE not in place(event) + event["data"]
            assert TEAMS not in place(event) + event["data"]
            assert "watchlist.mine" not in event["data"]
        assert PRIVATE in place(owner.told("match")[-1])
        again = Reader(url, {"Last-Event-ID": seen["id"]})
        again.wait("ready", 1)
        there.publish(survey_alert(602), PRIVATE)
        there.publish(survey_alert(602), "bright-transient")
        again.wait("match", 1)
        assert again.filters() == ["bright-transient"]
        for reader in (nobody, owner, again):
            reader.close()

    def test_our_client_sends_a_token(self, there: World, client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
        url = str(client.base_url).rstrip("/")
        token = bearer(there.store, "hypatia", "read")["Authorization"].removeprefix("Bearer ")
        now = datetime.now(UTC)
        there.publish(survey_alert(650), PRIVATE)
        with subscribe(PRIVATE, url, start_at="earliest", until=now, token=token) as stream:
            assert next(stream).filters == (PRIVATE,)
        monkeypatch.setenv("NUNCIUS_TOKEN", token)
        with subscribe(PRIVATE, url, start_at="earliest", until=now) as stream:
            assert next(stream).filters == (PRIVATE,)
        assert fetch_packet(url, LISTED) == b"Obj\x01" + LISTED.encode()
        monkeypatch.setenv("NUNCIUS_TOKEN", "ncs_wrong")
        with pytest.raises(RequestError, match="401"):
            fetch_packet(url, LISTED)
        for wrong, status in (("ncs_wrong", "401"), (None, "404")):
            monkeypatch.delenv("NUNCIUS_TOKEN", raising=False)
            with subscribe(PRIVATE, url, start_at="earliest", token=wrong) as stream, pytest.raises(RequestError, match=status):
                next(stream)

    def test_a_token_that_is_revoked_ends_it(self, there: World, client: httpx.Client) -> None:
        secret, token = tokens.make(there.store, "hypatia", ["read"])
        url = f"{client.base_url}/api/v1/live".replace("//api", "/api")
        reader = Reader(url, {"Authorization": f"Bearer {secret}"})
        reader.wait("ready", 1)
        tokens.revoke(there.store, token.id)
        number = 700
        while not reader.ended and number < 900:
            there.publish(survey_alert(number), PRIVATE)
            number += 1
            with reader.more:
                reader.more.wait(0.2)
        assert reader.ended
        told = len(reader.told("match"))
        assert told < number - 700


class TestWhose:
    owner = Principal("hypatia", {"moon": "manager"}, frozenset({"read", "write:filters"}), anonymous=False)
    member = Principal("theon", {"moon": "member"}, frozenset({"read"}), anonymous=False)
    stranger = Principal("stranger", {}, frozenset({"read"}), anonymous=False)
    admin = Principal("admin", {}, frozenset({"admin"}), anonymous=False)
    nobody = Principal(scopes=frozenset({"read"}))
    blind = replace(owner, scopes=frozenset({"write:filters"}))

    @pytest.mark.parametrize(
        ("thing", "seen_by", "changed_by_"),
        [
            (Thing("hypatia", None, "private"), "owner admin everyone", "owner blind admin everyone"),
            (Thing("hypatia", "moon", "private"), "owner admin everyone", "owner blind admin everyone"),
            (Thing("hypatia", "moon", "team"), "owner member admin everyone", "owner blind member admin everyone"),
            (
                Thing("hypatia", "moon", "public"),
                "owner member stranger admin nobody blind everyone",
                "owner blind member admin everyone",
            ),
            (
                Thing("hypatia", None, "public"),
                "owner member stranger admin nobody blind everyone",
                "owner blind admin everyone",
            ),
            (Thing(None, None, "public"), "owner member stranger admin nobody blind everyone", "admin everyone"),
            (Thing(None, None, "private"), "admin everyone", "admin everyone"),
            (Thing("theon", None, "team"), "member admin everyone", "member admin everyone"),
            (Thing("x", "nosuch", "team"), "admin everyone", "admin everyone"),
            (Thing("hypatia", None, "nonsense"), "owner admin everyone", "owner blind admin everyone"),
        ],
    )
    def test_who_sees_and_who_changes(self, thing: Thing, seen_by: str, changed_by_: str) -> None:
        people = {name: getattr(self, name) for name in ("owner", "member", "stranger", "admin", "nobody", "blind")}
        people["everyone"] = EVERYONE
        seen = {name for name, one in people.items() if may_see(one, thing.owner, thing.team, thing.visibility)}
        assert seen == set(seen_by.split())
        changed = set()
        for name, one in people.items():
            try:
                changed_by(one, thing, "filter 'x'")
            except NotFoundError:
                assert name not in seen
            except ForbiddenError:
                assert name in seen
            else:
                changed.add(name)
        assert changed == set(changed_by_.split())

    def test_changing(self) -> None:
        assert may_change(self.owner, "hypatia", None)
        assert may_change(self.member, "hypatia", "moon")
        assert not may_change(self.member, "hypatia", None)
        assert not may_change(self.nobody, None, None)
        assert may_change(EVERYONE, "hypatia", None)

    def test_sharing(self) -> None:
        may_share(self.owner, "moon", "team")
        may_share(self.owner, None, "private")
        may_share(self.admin, "moon", "team")
        for team, visibility in (("sun", "team"), ("sun", "private"), (None, "team")):
            with pytest.raises(ForbiddenError):
                may_share(self.owner, team, visibility)

    def test_quotas(self) -> None:
        within(self.owner, 0, 10_000, "filters")
        within(self.owner, 3, 2, "filters")
        within(self.admin, 3, 3, "filters")
        with pytest.raises(ForbiddenError, match="'hypatia' has 3 filters of 3"):
            within(self.owner, 3, 3, "filters")
