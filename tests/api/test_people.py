"""Who may do what, over HTTP, on both databases."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from fastapi.routing import iter_route_contexts
from sqlalchemy import update

from broker.api.app import create_app
from broker.api.auth import COOKIE
from broker.api.policy import OPEN, SAFE, Auth, Quotas, needed
from broker.api.services import Services
from broker.store import people, tables, teams, tokens
from broker.store.engine import Store, close, open_store, transaction
from broker.store.migrate import migrate
from tests.api.people import PASSWORD, asked, bearer, log_in, origin, populate
from tests.api.world import World

REQUIRED = Auth(required=True)
CLOSED = Auth(required=True, public_read=False)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path}/people.db" if request.param == "sqlite" else request.getfixturevalue("fresh_postgres")
    opened = open_store(url, synchronous="off")
    migrate(opened)
    populate(opened)
    yield opened
    close(opened)


@pytest.fixture
def services(here: World, store: Store) -> Services:
    return replace(here.services, store=store)


def is_problem(answer: httpx.Response, status: int, kind: str) -> bool:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body = answer.json()
    assert (answer.status_code, body["status"], body["type"]) == (status, status, f"urn:nuncius:problem:{kind}"), body
    assert body["detail"]
    return True


def unsafe(services: Services) -> list[tuple[str, str]]:
    """Every route that is not only for reading, with names in the place of parameters."""
    found = []
    for route in iter_route_contexts(create_app(services).routes):
        path = re.sub(r"\{.*?\}", "x", route.path or "")
        found += [(method, path) for method in sorted(set(route.methods or ()) - SAFE)]
    return found


class TestWithoutAccounts:
    def test_everyone_may_do_everything(self, services: Services) -> None:
        with asked(services, Auth()) as client:
            me = client.get("/api/v1/me").json()
            assert (me["user"], me["anonymous"], me["required"]) == (None, True, False)
            assert me["scopes"] == [
                "admin",
                "read",
                "write:filters",
                "write:reports",
                "write:subscriptions",
                "write:watchlists",
            ]
            assert client.post("/api/v1/teams", json={"name": "sun"}).status_code == 201
            assert client.get("/api/v1/alerts").status_code == 200
            assert [team["name"] for team in client.get("/api/v1/teams").json()["items"]] == ["moon", "sun"]

    def test_a_token_is_of_an_account(self, services: Services) -> None:
        with asked(services, Auth()) as client:
            assert is_problem(client.post("/api/v1/tokens", json={"scopes": ["read"]}), 401, "unauthenticated")

    def test_a_wrong_token_is_refused_all_the_same(self, services: Services) -> None:
        with asked(services, Auth()) as client:
            wrong = {"Authorization": f"Bearer ncs_{'0' * 12}_{'0' * 64}"}
            assert is_problem(client.get("/api/v1/alerts", headers=wrong), 401, "unauthenticated")

    def test_a_page_of_another_site_is_refused(self, services: Services) -> None:
        with asked(services, Auth()) as client:
            for where in ("https://evil.example", "null", "http://127.0.0.1:1"):
                answer = client.post("/api/v1/teams", json={"name": "evil"}, headers={"Origin": where})
                assert is_problem(answer, 403, "forbidden")
            assert client.post("/api/v1/teams", json={"name": "good"}, headers=origin(client)).status_code == 201
        assert [team.name for team in teams.teams(services.store)] == ["good", "moon"]

    def test_a_name_that_strangers_let_stand_for_us_is_refused(self, services: Services) -> None:
        def made(client: httpx.Client, host: str, number: int) -> int:
            headers = {"Host": host, "Origin": f"http://{host}"}
            return client.post("/api/v1/teams", json={"name": f"t{number}"}, headers=headers).status_code

        near = ["127.0.0.1:8000", "[::1]:8000", "localhost:8000", "broker", "nuncius.local"]
        with asked(services, Auth(origins=("http://nuncius.example.org",))) as client:
            codes = [
                made(client, host, number) for number, host in enumerate([*near, "nuncius.example.org", "evil.example", "["])
            ]
        assert codes == [201] * 6 + [403, 403]


class TestWhereRequired:
    def test_every_address_that_changes_something_asks_for_a_scope_of_its_own(self, services: Services) -> None:
        with asked(services, REQUIRED) as client:
            reader = bearer(services.store, "hypatia", "read")
            found = unsafe(services)
            assert len(found) >= 8
            for method, path in found:
                scope = needed(method, path)
                assert scope != "admin", f"{method} {path} is not listed in broker.api.policy"
                answer, with_token = client.request(method, path), client.request(method, path, headers=reader)
                if scope == OPEN:
                    assert path == "/api/v1/session"
                elif scope == "read":
                    assert {answer.status_code, with_token.status_code}.isdisjoint({401, 403}), path
                else:
                    assert is_problem(answer, 401, "unauthenticated"), path
                    assert is_problem(with_token, 403, "forbidden"), path
                    assert "Bearer" in answer.headers["www-authenticate"]

    @pytest.mark.parametrize(
        ("method", "path", "scope"),
        [
            ("POST", "/api/v1/filters", "write:filters"),
            ("PUT", "/api/v1/filters/x", "write:filters"),
            ("POST", "/api/v1/filters/x/versions/1/state", "write:filters"),
            ("POST", "/api/v1/filters/check", "read"),
            ("POST", "/api/v1/filters/explain", "read"),
            ("PUT", "/api/v1/filters/check", "write:filters"),  # a filter may be called so
            ("POST", "/api/v1/filters/check/versions/1/state", "write:filters"),
            ("POST", "/api/v1/watchlists", "write:watchlists"),
            ("DELETE", "/api/v1/watchlists/x", "write:watchlists"),
            ("PUT", "/api/v1/regions/x", "write:watchlists"),
            ("POST", "/api/v1/subscriptions", "write:subscriptions"),
            ("PATCH", "/api/v1/subscriptions/x", "write:subscriptions"),
            ("POST", "/api/v1/deliveries/x/replay", "write:subscriptions"),
            ("POST", "/api/v1/events/x/observations", "write:reports"),
            ("POST", "/api/v1/alerts/x/classifications", "write:reports"),
            ("DELETE", "/api/v1/events/x/observations", "admin"),
            ("DELETE", "/api/v1/events/x/observations/obs_1", "write:reports"),
            ("DELETE", "/api/v1/alerts/x/classifications/cls_1", "write:reports"),
            ("POST", "/api/v1/events/x", "admin"),
            ("POST", "/api/v1/backtests", "read"),
            ("POST", "/api/v1/skymaps", "read"),
            ("DELETE", "/api/v1/backtests/1", "admin"),
            ("POST", "/api/v1/filtersx", "admin"),
            ("POST", "/api/v1/nowhere", "admin"),
            ("POST", "/", "admin"),
            ("BREW", "/api/v1/alerts", "admin"),
        ],
    )
    def test_what_is_asked_for(self, services: Services, method: str, path: str, scope: str) -> None:
        if services.store.dialect == "postgresql":
            return  # the database has no part in it
        assert needed(method, path) == scope
        with asked(services, REQUIRED) as client:
            for held in tokens.SCOPES:
                answer = client.request(method, path, headers=bearer(services.store, "admin", held))
                refused = answer.status_code == 403
                assert refused == (held not in {scope, "admin"} and scope != "read"), held

    def test_what_is_public_is_read_by_all(self, services: Services) -> None:
        with asked(services, REQUIRED) as client:
            for path in ("/", "/events", "/api/v1/alerts", "/api/v1/filters", "/subjects", "/metrics", "/api/v1/openapi.json"):
                assert client.get(path).status_code == 200, path
            assert client.get("/api/v1/me").json()["scopes"] == ["read"]
            assert is_problem(client.get("/api/v1/tokens"), 401, "unauthenticated")
            assert is_problem(client.get("/api/v1/teams"), 401, "unauthenticated")
            assert client.get("/api/v1/alerts", headers=bearer(services.store, "theon", "write:filters")).status_code == 200

    def test_where_reading_asks_for_an_account_too(self, services: Services) -> None:
        reader, writer = bearer(services.store, "theon", "read"), bearer(services.store, "theon", "write:filters")
        with asked(services, CLOSED) as client:
            closed = ["/api/v1/alerts", "/api/v1/filters", "/subjects", "/registry/subjects", "/metrics", "/api/v1/metrics"]
            closed += ["/api/v1/live", "/api/v1/matches", "/api/v1/status", "/api/v1/no/such", "/schemas/ids/7", "/config"]
            for path in closed:
                assert is_problem(client.get(path), 401, "unauthenticated"), path
                assert client.head(path).status_code == 401, path
                assert is_problem(client.get(path, headers=writer), 403, "forbidden"), path
            for path in closed[:6]:
                assert client.get(path, headers=reader).status_code == 200, path
            for path in ("/", "/events/x", "/static/js/alert.js", "/api/v1/me", "/api/v1/health", "/api/v1/openapi.json"):
                assert client.get(path).status_code == 200, path
            assert is_problem(client.post("/api/v1/skymaps", content=b"x"), 401, "unauthenticated")

    @pytest.mark.parametrize(
        "given",
        [
            "Bearer",
            "Bearer x",
            "bearer ncs_1_2",
            "Bearer ncs_" + "0" * 12 + "_" + "0" * 64,
            "Bearer a b c",
            "Bearer \xff",
        ],
    )
    def test_a_wrong_token_is_refused_where_reading_is_public(self, services: Services, given: str) -> None:
        with asked(services, REQUIRED) as client:
            answer = client.get("/api/v1/alerts", headers={"Authorization": given.encode("latin-1")})
            assert is_problem(answer, 401, "unauthenticated")

    def test_a_token_is_good_no_more_at_once(self, services: Services) -> None:
        store = services.store
        secret, token = tokens.make(store, "hypatia", ["read"])
        header = {"Authorization": f"Bearer {secret}"}
        with asked(services, REQUIRED) as client:
            assert client.get("/api/v1/me", headers=header).json()["user"] == "hypatia"
            people.set_disabled(store, "hypatia", True)
            assert is_problem(client.get("/api/v1/me", headers=header), 401, "unauthenticated")
            people.set_disabled(store, "hypatia", False)
            assert client.get("/api/v1/me", headers=header).status_code == 200
            tokens.revoke(store, token.id)
            assert is_problem(client.get("/api/v1/me", headers=header), 401, "unauthenticated")

    def test_the_password_of_a_proxy_is_none_of_ours(self, services: Services) -> None:
        with asked(services, REQUIRED) as client:
            assert client.get("/api/v1/alerts", headers={"Authorization": "Basic aGk6aG8="}).status_code == 200


class TestLoggingIn:
    def test_with_a_password_and_out_again(self, services: Services) -> None:
        with asked(services, CLOSED) as client:
            answer = log_in(client, "hypatia")
            assert (answer.status_code, answer.json()) == (200, {"user": "hypatia", "admin": False})
            kept = answer.headers["set-cookie"]
            assert all(word in kept for word in ("HttpOnly", "SameSite=lax", "Path=/", "Max-Age=43200"))
            me = client.get("/api/v1/me").json()
            assert (me["user"], me["logged_in"], me["teams"]) == ("hypatia", True, {"moon": "manager"})
            assert me["scopes"] == ["read", "write:filters", "write:reports", "write:subscriptions", "write:watchlists"]
            assert client.get("/api/v1/alerts").status_code == 200
            stolen = dict(client.cookies)
            assert client.delete("/api/v1/session", headers=origin(client)).status_code == 204
            assert COOKIE not in client.cookies
            assert client.get("/api/v1/alerts").status_code == 401
            client.cookies.update(stolen)
            assert client.get("/api/v1/alerts").status_code == 401

    def test_over_tls_the_cookie_is_for_tls_alone(self, services: Services) -> None:
        with asked(services, REQUIRED) as client:
            headers = {"X-Forwarded-Proto": "https", "Origin": str(client.base_url).rstrip("/").replace("http:", "https:")}
            answer = client.post("/api/v1/session", json={"name": "theon", "password": PASSWORD}, headers=headers)
            assert "Secure" in answer.headers["set-cookie"]
            assert "Secure" not in log_in(client, "theon").headers["set-cookie"]

    def test_who_fails_is_not_told_why(self, services: Services) -> None:
        people.set_disabled(services.store, "theon", True)
        with asked(services, REQUIRED) as client:
            said = [
                log_in(client, name, word)
                for name, word in (("hypatia", "wrong"), ("nobody-here", PASSWORD), ("theon", PASSWORD))
            ]
            assert all(is_problem(answer, 401, "unauthenticated") for answer in said)
            assert len({answer.json()["detail"] for answer in said}) == 1
            assert not client.cookies

    def test_a_cookie_that_was_touched_is_none(self, services: Services) -> None:
        with asked(services, CLOSED) as client:
            log_in(client, "hypatia")
            good = client.cookies[COOKIE]
            token, _, mark = good.rpartition(".")
            other, _ = tokens.make(services.store, "hypatia", ["read"])
            changed = mark[:-2] + ("A" if mark[-2] != "A" else "B") + mark[-1]
            for wrong in (token, f"{token}.", f"{token}.{changed}", f"{other}.{mark}", other, "x", "."):
                client.cookies.clear()
                client.cookies.set(COOKIE, wrong)
                assert client.get("/api/v1/alerts").status_code == 401, wrong
            client.cookies.clear()
            client.cookies.set(COOKIE, good)
            assert client.get("/api/v1/alerts").status_code == 200

    def test_a_log_in_is_no_token_and_a_token_is_no_log_in(self, services: Services) -> None:
        with asked(services, REQUIRED) as client:
            log_in(client, "hypatia")
            session = client.cookies[COOKIE].rpartition(".")[0]
            client.cookies.clear()
            assert client.get("/api/v1/me", headers={"Authorization": f"Bearer {session}"}).status_code == 401

    def test_a_log_in_that_has_ended_leaves_what_is_public(self, services: Services) -> None:
        with asked(services, REQUIRED) as client:
            log_in(client, "hypatia")
            with transaction(services.store) as conn:
                conn.execute(update(tables.tokens).values(expires=1))
            assert client.get("/api/v1/me").json()["anonymous"] is True
            assert client.get("/api/v1/alerts").status_code == 200
            assert is_problem(
                client.post("/api/v1/teams", json={"name": "sun"}, headers=origin(client)), 401, "unauthenticated"
            )

    def test_other_sites_cannot_use_it(self, services: Services) -> None:
        with asked(services, REQUIRED) as client:
            log_in(client, "hypatia")
            for headers in ({}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
                answer = client.post("/api/v1/teams", json={"name": "evil"}, headers=headers)
                assert is_problem(answer, 403, "forbidden")
            assert client.post("/api/v1/teams", json={"name": "sun"}, headers=origin(client)).status_code == 201
            answer = client.post(
                "/api/v1/session", json={"name": "theon", "password": PASSWORD}, headers={"Origin": "https://evil.example"}
            )
            assert is_problem(answer, 403, "forbidden")
        with asked(services, Auth(required=True, origins=("https://nuncius.example.org",))) as client:
            log_in(client, "hypatia")
            answer = client.post("/api/v1/teams", json={"name": "mars"}, headers={"Origin": "https://nuncius.example.org"})
            assert answer.status_code == 201

    def test_after_some_wrong_ones_the_next_waits(self, services: Services) -> None:
        with asked(services, REQUIRED) as client:
            said = [log_in(client, "hypatia", "wrong") for _ in range(8)]
            assert [answer.status_code for answer in said][:5] == [401] * 5
            assert is_problem(said[-1], 429, "too-many")
            assert int(said[-1].headers["retry-after"]) >= 1
            assert log_in(client, "hypatia").status_code == 429  # the right one, too
            assert log_in(client, "theon").status_code == 200  # others are let in
            said = [log_in(client, "nobody-here", "wrong") for _ in range(8)]
            assert {answer.status_code for answer in said} == {401, 429}  # of whom there is not it is the same

    def test_it_takes_no_more_than_it_needs(self, services: Services) -> None:
        with asked(services, REQUIRED) as client:
            for body in ({}, {"name": "x"}, {"name": "x" * 201, "password": "y"}, {"name": "x", "password": "y" * 257}, []):
                assert is_problem(client.post("/api/v1/session", json=body), 400, "validation")


class TestTokens:
    def test_made_used_and_revoked(self, services: Services) -> None:
        with asked(services, REQUIRED) as client:
            log_in(client, "hypatia")
            page = origin(client)
            made = client.post("/api/v1/tokens", json={"scopes": ["read"], "note": "laptop", "days": 1}, headers=page)
            assert made.status_code == 201
            token = made.json()
            (listed,) = client.get("/api/v1/tokens").json()["items"]
            assert listed["id"] == token["id"]
            assert "token" not in listed
            left = datetime.fromisoformat(listed["expires"]) - datetime.now(UTC)
            assert 86_000 < left.total_seconds() <= 86_400
            with httpx.Client(base_url=client.base_url, headers={"Authorization": f"Bearer {token['token']}"}) as program:
                me = program.get("/api/v1/me").json()
                assert (me["user"], me["scopes"], me["logged_in"]) == ("hypatia", ["read"], False)
                for answer in (program.get("/api/v1/tokens"), program.post("/api/v1/tokens", json={"scopes": ["read"]})):
                    assert is_problem(answer, 403, "forbidden")
                assert client.delete(f"/api/v1/tokens/{token['id']}", headers=page).status_code == 204
                assert program.get("/api/v1/me").status_code == 401
            assert client.get("/api/v1/tokens").json()["items"][0]["revoked"] is not None

    def test_others_tokens_are_not_there(self, services: Services) -> None:
        _, token = tokens.make(services.store, "hypatia", ["read"])
        with asked(services, REQUIRED) as client:
            log_in(client, "stranger")
            assert client.get("/api/v1/tokens").json()["items"] == []
            answer = client.delete(f"/api/v1/tokens/{token.id}", headers=origin(client))
            assert is_problem(answer, 404, "not-found")
            log_in(client, "admin")
            assert client.delete(f"/api/v1/tokens/{token.id}", headers=origin(client)).status_code == 204

    def test_nobody_gives_more_than_they_have(self, services: Services) -> None:
        with asked(services, REQUIRED) as client:
            log_in(client, "hypatia")
            answer = client.post("/api/v1/tokens", json={"scopes": ["read", "admin"]}, headers=origin(client))
            assert is_problem(answer, 403, "forbidden")
            log_in(client, "admin")
            assert client.post("/api/v1/tokens", json={"scopes": ["admin"]}, headers=origin(client)).status_code == 201

    @pytest.mark.parametrize(
        "body",
        [{}, {"scopes": []}, {"scopes": ["reed"]}, {"scopes": ["read"], "days": -1}, {"scopes": ["read"], "note": "a\0b"}],
    )
    def test_what_cannot_be(self, services: Services, body: dict[str, object]) -> None:
        with asked(services, REQUIRED) as client:
            log_in(client, "hypatia")
            assert is_problem(client.post("/api/v1/tokens", json=body, headers=origin(client)), 400, "validation")


class TestTeams:
    def test_managers_say_who_is_in(self, services: Services) -> None:
        with asked(services, REQUIRED) as client:
            page = origin(client)
            log_in(client, "theon")
            made = client.post("/api/v1/teams", json={"name": "sun", "title": "The Sun"}, headers=page)
            assert (made.status_code, made.json()["members"]) == (201, {"theon": "manager"})
            assert client.put("/api/v1/teams/sun/members/hypatia", json={}, headers=page).json()["members"] == {
                "hypatia": "member",
                "theon": "manager",
            }
            answer = client.put("/api/v1/teams/moon/members/stranger", json={}, headers=page)
            assert is_problem(answer, 403, "forbidden")
            assert "hypatia" in answer.json()["detail"]
            assert is_problem(client.delete("/api/v1/teams/moon/members/hypatia", headers=page), 403, "forbidden")
            assert client.delete("/api/v1/teams/moon/members/theon", headers=page).status_code == 204
            assert is_problem(client.get("/api/v1/teams/moon"), 404, "not-found")
            assert [team["name"] for team in client.get("/api/v1/teams").json()["items"]] == ["sun"]
            assert is_problem(client.delete("/api/v1/teams/sun/members/theon", headers=page), 400, "usage")
            assert is_problem(client.put("/api/v1/teams/sun/members/nobody-here", json={}, headers=page), 404, "not-found")
            assert is_problem(client.post("/api/v1/teams", json={"name": "sun"}, headers=page), 400, "usage")
            assert is_problem(client.post("/api/v1/teams", json={"name": "The Sun"}, headers=page), 400, "validation")

    def test_to_strangers_a_team_is_as_if_it_were_not(self, services: Services) -> None:
        with asked(services, REQUIRED) as client:
            page = origin(client)
            log_in(client, "stranger")
            for one, other in (("moon", "nosuch"), ("nosuch", "moon")):
                told = [client.get(f"/api/v1/teams/{name}") for name in (one, other)]
                told += [client.put(f"/api/v1/teams/{name}/members/stranger", json={}, headers=page) for name in (one, other)]
                told += [client.delete(f"/api/v1/teams/{name}/members/theon", headers=page) for name in (one, other)]
                assert all(is_problem(answer, 404, "not-found") for answer in told)
                assert len({answer.json()["detail"].replace(one, "*").replace(other, "*") for answer in told}) == 1
            log_in(client, "admin")
            assert client.put("/api/v1/teams/moon/members/stranger", json={}, headers=page).status_code == 200


class TestQuotas:
    def test_requests_a_minute_by_account_and_by_side(self, services: Services) -> None:
        with asked(services, Auth(required=True, quotas=Quotas(requests_per_minute=4))) as client:
            one, other = bearer(services.store, "hypatia"), bearer(services.store, "theon")
            again = bearer(services.store, "hypatia")
            assert [client.get("/api/v1/health/live", headers=one).status_code for _ in range(3)] == [200] * 3
            assert client.get("/api/v1/health/live", headers=again).status_code == 200
            answer = client.get("/api/v1/health/live", headers=one)
            assert is_problem(answer, 429, "too-many")
            assert 0 < int(answer.headers["retry-after"]) <= 60
            assert client.get("/api/v1/health/live", headers=other).status_code == 200
            said = [client.get("/api/v1/me").status_code for _ in range(5)]
            assert said == [200, 200, 200, 200, 429]
            wrong = {"Authorization": "Bearer ncs_guess"}
            assert client.get("/api/v1/me", headers=wrong).status_code == 429  # guessing counts

    def test_backtests_an_hour(self, services: Services) -> None:
        with asked(services, Auth(required=True, quotas=Quotas(backtests_per_hour=2))) as client:
            one, other = bearer(services.store, "hypatia"), bearer(services.store, "theon")
            said = [client.post("/api/v1/backtests", headers=one).status_code for _ in range(3)]
            assert said[2] == 429
            assert 429 not in said[:2]
            assert client.post("/api/v1/backtests", headers=other).status_code != 429
            assert client.get("/api/v1/alerts", headers=one).status_code == 200


def test_where_the_database_is_away_nobody_is_taken_for_another(here: World, tmp_path: Path) -> None:
    gone = open_store(f"sqlite:///{tmp_path}/sub/people.db")
    (tmp_path / "sub").rmdir()
    with asked(replace(here.services, store=gone), CLOSED) as client:
        answer = client.get("/api/v1/alerts", headers={"Authorization": f"Bearer ncs_{'0' * 12}_{'0' * 64}"})
        assert is_problem(answer, 503, "unavailable")
    close(gone)
