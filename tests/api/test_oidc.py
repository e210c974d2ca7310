"""Logging in elsewhere, at a provider that is there; and what is not believed of it."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from broker.api import oidc_provider
from broker.api.auth import COOKIE
from broker.api.oidc import COOKIE as BEGUN
from broker.api.policy import Auth, Oidc
from broker.store import people
from broker.store.engine import Store, close, open_store
from broker.store.migrate import migrate
from tests.api.people import asked
from tests.api.provider import CLIENT, SECRET, Provider, provider
from tests.api.world import World, served

CALLBACK = "/api/v1/oidc/callback"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path}/people.db", synchronous="off")
    migrate(opened)
    yield opened
    close(opened)


@pytest.fixture
def elsewhere() -> Iterator[Provider]:
    with provider() as made:
        yield made


@contextmanager
def here_for(here: World, store: Store, at: Provider, **changes: object) -> Iterator[httpx.Client]:
    """A browser of a service that sends people to a provider."""
    options = Oidc(at.url, CLIENT, SECRET, ("openid", "email"), f"https://nuncius.example.org{CALLBACK}", create=True)
    services = replace(here.services, store=store, auth=Auth(required=True, oidc=replace(options, **changes)))  # type: ignore[arg-type]
    with served(services) as url, httpx.Client(base_url=url, timeout=20) as client:
        yield client


def begin(client: httpx.Client, to: str = "/") -> httpx.Response:
    return client.get("/api/v1/oidc/login", params={"next": to})


def come_back(client: httpx.Client, sent: httpx.Response) -> httpx.Response:
    """Go to the provider and come back; our address is the one we are served at."""
    assert sent.status_code == 303, sent.text
    there = httpx.get(sent.headers["location"])
    assert there.status_code == 302
    back = urlsplit(there.headers["location"])
    assert back.path == CALLBACK
    return client.get(f"{back.path}?{back.query}")


class TestAsItShouldBe:
    def test_logs_in_and_goes_on(self, here: World, store: Store, elsewhere: Provider) -> None:
        with here_for(here, store, elsewhere) as client:
            assert client.get("/api/v1/me").json()["oidc"] == "/api/v1/oidc/login"
            answer = come_back(client, begin(client, "/events?real=true"))
            assert (answer.status_code, answer.headers["location"]) == (303, "/events?real=true")
            assert BEGUN not in client.cookies
            me = client.get("/api/v1/me").json()
            assert (me["user"], me["email"], me["logged_in"]) == ("hypatia", "h@example.org", True)
            assert "admin" not in me["scopes"]

    def test_the_same_person_is_the_same_account(self, here: World, store: Store, elsewhere: Provider) -> None:
        with here_for(here, store, elsewhere) as client:
            come_back(client, begin(client))
            elsewhere.who |= {"preferred_username": "another-name", "email": "other@example.org"}
            client.cookies.clear()
            come_back(client, begin(client))
            assert client.get("/api/v1/me").json()["user"] == "hypatia"
            elsewhere.who |= {"sub": "0008", "preferred_username": "hypatia"}
            client.cookies.clear()
            come_back(client, begin(client))
            assert client.get("/api/v1/me").json()["user"] == "hypatia-2"
        assert [user.name for user in people.users(store)] == ["hypatia", "hypatia-2"]

    def test_nobody_gets_an_account_by_its_name_or_address(self, here: World, store: Store, elsewhere: Provider) -> None:
        people.add(store, "hypatia", email="h@example.org", admin=True)
        with here_for(here, store, elsewhere) as client:
            come_back(client, begin(client))
            me = client.get("/api/v1/me").json()
            assert me["user"] == "hypatia-2"
            assert "admin" not in me["scopes"]

    def test_an_account_that_an_operator_made_for_it(self, here: World, store: Store, elsewhere: Provider) -> None:
        people.add(store, "astronomer", oidc_subject=f"{elsewhere.url} 0007")
        with here_for(here, store, elsewhere, create=False) as client:
            come_back(client, begin(client))
            assert client.get("/api/v1/me").json()["user"] == "astronomer"
            elsewhere.who["sub"] = "0008"
            client.cookies.clear()
            answer = come_back(client, begin(client))
            assert answer.status_code == 403
            assert "nuncius user add NAME --oidc-subject" in answer.json()["detail"]
            assert COOKIE not in client.cookies

    def test_a_disabled_account_stays_out(self, here: World, store: Store, elsewhere: Provider) -> None:
        people.add(store, "astronomer", oidc_subject=f"{elsewhere.url} 0007")
        people.set_disabled(store, "astronomer", True)
        with here_for(here, store, elsewhere) as client:
            assert come_back(client, begin(client)).status_code == 403
            assert COOKIE not in client.cookies

    @pytest.mark.parametrize("who", [{"sub": "9"}, {"sub": "9", "preferred_username": "\0\n\t", "email": 7, "name": "Ὑπατία"}])
    def test_people_of_whom_little_is_said(
        self, here: World, store: Store, elsewhere: Provider, who: dict[str, object]
    ) -> None:
        elsewhere.who = who
        with here_for(here, store, elsewhere) as client:
            come_back(client, begin(client))
            assert client.get("/api/v1/me").json()["user"] == "user"

    def test_a_provider_that_wants_the_secret_in_the_form(self, here: World, store: Store, elsewhere: Provider) -> None:
        elsewhere.metadata = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
        with here_for(here, store, elsewhere) as client:
            assert come_back(client, begin(client)).status_code == 303

    def test_addresses_and_keys_are_asked_for_once(self, here: World, store: Store, elsewhere: Provider) -> None:
        with here_for(here, store, elsewhere) as client:
            for _ in range(3):
                assert come_back(client, begin(client)).status_code == 303
        assert elsewhere.asked.count("/jwks") == elsewhere.asked.count("/.well-known/openid-configuration") == 1

    def test_new_keys_are_fetched(
        self, here: World, store: Store, elsewhere: Provider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with here_for(here, store, elsewhere) as client:
            assert come_back(client, begin(client)).status_code == 303
            elsewhere.turn_keys()
            assert come_back(client, begin(client)).status_code == 401  # not so soon: guesses would have us ask for ever
            monkeypatch.setattr(oidc_provider, "_AGAIN", 0.0)
            assert come_back(client, begin(client)).status_code == 303


BROKEN: dict[str, Callable[[Provider], object]] = {
    "another nonce": lambda at: setattr(at, "spoil", lambda claims: claims.update(nonce="another")),
    "no nonce": lambda at: setattr(at, "spoil", lambda claims: claims.pop("nonce")),
    "another audience": lambda at: setattr(at, "spoil", lambda claims: claims.update(aud="another")),
    "an audience of others": lambda at: setattr(at, "spoil", lambda claims: claims.update(aud=["another"])),
    "for us, but by another": lambda at: setattr(
        at, "spoil", lambda claims: claims.update(aud=[CLIENT, "another"], azp="another")
    ),
    "no audience": lambda at: setattr(at, "spoil", lambda claims: claims.pop("aud")),
    "ended": lambda at: setattr(at, "spoil", lambda claims: claims.update(exp=int(time.time()) - 60)),
    "without an end": lambda at: setattr(at, "spoil", lambda claims: claims.pop("exp")),
    "not yet": lambda at: setattr(at, "spoil", lambda claims: claims.update(nbf=int(time.time()) + 600)),
    "another issuer": lambda at: setattr(at, "spoil", lambda claims: claims.update(iss="https://another.example")),
    "nobody": lambda at: setattr(at, "spoil", lambda claims: claims.pop("sub")),
    "a number for a name": lambda at: setattr(at, "spoil", lambda claims: claims.update(sub=7)),
    "of another access token": lambda at: setattr(at, "spoil", lambda claims: claims.update(at_hash="AAAAAAAAAAAAAAAAAAAAAA")),
    "alg none": lambda at: setattr(at, "sign", at.unsigned),
    "another key": lambda at: setattr(at, "sign", at.signed_by_another),
    "the secret": lambda at: setattr(at, "sign", at.signed_with_the_secret),
    "the public key as a secret": lambda at: setattr(at, "sign", at.signed_with_the_public_key),
    "no token at all": lambda at: setattr(at, "sign", lambda _claims: "nothing"),
    "no id_token": lambda at: setattr(at, "answer", lambda _answer: {"access_token": "x"}),
    "an id_token that is none": lambda at: setattr(at, "answer", lambda answer: answer | {"id_token": 7}),
}


class TestWhatIsNotBelieved:
    @pytest.mark.parametrize("how", BROKEN.values(), ids=BROKEN)
    def test_of_the_provider(self, here: World, store: Store, elsewhere: Provider, how: Callable[[Provider], object]) -> None:
        with here_for(here, store, elsewhere) as client:
            sent = begin(client)
            how(elsewhere)
            answer = come_back(client, sent)
            assert answer.status_code == 401, answer.text
            assert answer.json()["type"] == "urn:nuncius:problem:unauthenticated"
            assert COOKIE not in client.cookies
        assert people.users(store) == []

    def test_of_the_browser(self, here: World, store: Store, elsewhere: Provider) -> None:
        with here_for(here, store, elsewhere) as client, httpx.Client(base_url=client.base_url) as other:
            location = begin(client).headers["location"]
            begin(other)
            back = urlsplit(httpx.get(location).headers["location"])
            asked_for = {name: values[0] for name, values in parse_qs(back.query).items()}
            wrong = [
                (other, asked_for),  # begun by somebody else
                (client, asked_for | {"state": "another"}),
                (client, asked_for | {"state": ""}),
                (client, {"code": asked_for["code"]}),
                (client, {"state": asked_for["state"]}),
                (client, {"state": asked_for["state"], "error": "access_denied"}),
                (client, asked_for | {"code": "another"}),
                (httpx.Client(base_url=client.base_url, cookies={BEGUN: "x.y"}), asked_for),
                (httpx.Client(base_url=client.base_url), asked_for),
            ]
            for browser, given in wrong:
                answer = browser.get(CALLBACK, params=given)
                assert answer.status_code == 401, given
                assert COOKIE not in browser.cookies
            wrong[-1][0].close()
            wrong[-2][0].close()
            assert client.get(CALLBACK, params=asked_for).status_code == 303
            assert client.get(CALLBACK, params=asked_for).status_code == 401  # once

    @pytest.mark.parametrize(
        "to",
        ["https://evil.example", "//evil.example", "/\\evil.example", "/\t/evil.example", "evil", "", "/ok\r\nX: y", "\\/x"],
    )
    def test_no_way_leads_to_others(self, here: World, store: Store, elsewhere: Provider, to: str) -> None:
        with here_for(here, store, elsewhere) as client:
            assert begin(client, to).status_code == 400

    def test_a_provider_that_is_away_or_is_another(self, here: World, store: Store, elsewhere: Provider) -> None:
        with here_for(here, store, elsewhere) as client:
            elsewhere.metadata = {"issuer": "https://another.example"}
            answer = begin(client)
            assert answer.status_code == 503
            assert "another.example" in answer.json()["detail"]
            elsewhere.metadata = {"jwks_uri": f"{elsewhere.url}/nowhere"}
            assert begin(client).status_code == 503
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            elsewhere.url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        with here_for(here, store, elsewhere) as client:
            assert begin(client).status_code == 503


def test_where_it_is_not_set_up(here: World, store: Store) -> None:
    with asked(here.services, Auth(required=True), store=store) as client:
        assert client.get("/api/v1/me").json()["oidc"] is None
        for path in ("login", "callback"):
            assert client.get(f"/api/v1/oidc/{path}").status_code == 404
