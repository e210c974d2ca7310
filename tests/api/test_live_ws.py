"""Live matches as a WebSocket, read by the `websockets` client; readers of either kind that drop, come back, or never read."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from broker.api.auth import COOKIE
from broker.api.policy import Auth
from broker.store import people, tokens
from broker.stream.log import TopicSpec
from broker.topics import matched
from tests.api.people import Thing, asked, bearer, log_in, origin, populate
from tests.api.test_live import listening
from tests.api.world import BIG, World, broken, served, survey_alert, world

PRIVATE = "young-supernova"
CLOSED = Auth(required=True, public_read=False)


@dataclass(frozen=True)
class Told:
    """A message, as a reader of either kind has it."""

    kind: str
    id: str
    data: dict[str, Any]

    @property
    def alert(self) -> str:
        return str(self.data["alert"]["alert_id"])


def messages(client: ClientConnection) -> Iterator[Told]:
    """Messages but those of silence."""
    while True:
        told = json.loads(client.recv(timeout=30))
        assert set(told) == {"id", "event", "data"}
        if told["event"] != "ping":
            yield Told(told["event"], told["id"], told["data"])


def opened(url: str, query: str = "", last: str | None = None, **more: Any) -> ClientConnection:
    address = url.replace("http", "ws", 1) + f"/api/v1/live/ws?{query}"
    return connect(address + (f"&last_event_id={quote(last)}" if last else ""), proxy=None, open_timeout=30, **more)


@contextmanager
def reading(url: str, query: str = "", last: str | None = None, **more: Any) -> Iterator[Iterator[Told]]:
    """Messages from the one after ``ready`` on."""
    with opened(url, query, last, **more) as client:
        found = messages(client)
        first = next(found)
        assert (first.kind, first.data) == ("ready", {})
        yield found


@contextmanager
def reading_events(url: str, query: str = "", last: str | None = None) -> Iterator[Iterator[Told]]:
    """The same of Server-Sent Events."""
    with listening(url, f"?{query}" if query else "", last) as found:
        yield (Told(event.kind, event.id, json.loads(event.data)) for event in found)


KINDS = {"ws": reading, "sse": reading_events}


def ended(client: ClientConnection) -> tuple[dict[str, Any], int]:
    """The problem that a reader is told, and the code it is closed with."""
    error = next(messages(client))
    assert (error.kind, error.id) == ("error", None)
    with pytest.raises(ConnectionClosed) as closed:
        client.recv(timeout=30)
    assert closed.value.rcvd is not None
    return error.data, closed.value.rcvd.code


def test_the_same_as_by_server_sent_events(url: str, here: World) -> None:
    with reading(url) as found, reading_events(url) as others:
        for number in (101, 102):
            here.publish(survey_alert(number))
        for _ in range(2):
            one, other = next(found), next(others)
            assert one == other
            assert one.kind == "match"
    assert one.alert == f"ztf:{BIG + 102}"
    assert one.data["filter"] == "bright-transient"
    with reading(url, last=one.id) as found, reading_events(url, last=one.id) as others:
        here.publish(survey_alert(103))
        assert next(found) == next(others)


def test_who_saw_nothing_can_come_back_too(url: str, here: World) -> None:
    with opened(url) as client:
        ready = next(messages(client))
    here.publish(survey_alert(150))
    with reading(url, last=ready.id) as found:
        assert next(found).alert == f"ztf:{BIG + 150}"


def test_silence_is_broken_with_an_id_to_come_back_with(url: str, here: World) -> None:
    with opened(url) as client:
        client.recv(timeout=30)
        ping = json.loads(client.recv(timeout=30))
    assert (ping["event"], ping["data"]) == ("ping", {})
    here.publish(survey_alert(160))
    with reading(url, last=ping["id"]) as found:
        assert next(found).alert == f"ztf:{BIG + 160}"


def test_one_filter_only(url: str, here: World) -> None:
    with reading(url, f"filter={PRIVATE}") as found:
        here.publish(survey_alert(170))
        here.publish(survey_alert(171), PRIVATE)
        assert next(found).alert == f"ztf:{BIG + 171}"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [1, 2])
def test_who_drops_and_comes_back_misses_nothing_and_sees_nothing_twice(here: World, kind: str, seed: int) -> None:
    chance = random.Random(f"{kind} {seed}")
    names = ["bright-transient", f"wide-{kind}-{seed}"]
    here.log.create_topic(matched(names[1]), TopicSpec(partitions=3))
    first = 10_000 * seed + (5_000 if kind == "ws" else 0)
    wanted = [f"ztf:{BIG + number}" for number in range(first, first + 120)]

    def publish() -> None:
        for number in range(first, first + 120):
            here.publish(survey_alert(number), names[number % 2])
            time.sleep(chance.random() * 0.02)

    services = broken(here, live_readers=4, heartbeat=0.2)
    with served(services) as one, served(services) as other:
        with opened(one) as client:
            last = next(messages(client)).id
        publishing = threading.Thread(target=publish)
        publishing.start()
        had: list[str] = []
        visits = 0
        while len(had) < len(wanted):
            visits += 1
            with KINDS[kind](chance.choice([one, other]), "", last) as found:
                for _ in range(min(chance.randint(0, 12), len(wanted) - len(had))):
                    told = next(found)
                    had.append(told.alert)
                    last = told.id
        publishing.join()
        with KINDS[kind](one, "", last) as found:  # nothing is left, and nothing comes again
            here.publish(survey_alert(first + 4_000))
            assert next(found).alert == f"ztf:{BIG + first + 4_000}"
    assert visits > 10
    assert sorted(had) == sorted(wanted)


def test_a_connection_cut_off_is_taken_up(here: World) -> None:
    with served(broken(here, live_readers=1)) as url:
        for number in range(3):
            with opened(url) as client:
                last = next(messages(client)).id
                client.socket.shutdown(socket.SHUT_RDWR)  # no closing handshake
            here.publish(survey_alert(800 + number))
            until = time.monotonic() + 30
            while True:  # the one seat is free as soon as the server has noticed
                with opened(url, last=last) as again:
                    told = next(found := messages(again))
                    if told.kind == "ready":
                        assert next(found).alert == f"ztf:{BIG + 800 + number}"
                        break
                    assert told.data["status"] == 503
                assert time.monotonic() < until


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("filter=nobody", 404, "no filter 'nobody'"),
        ("last_event_id=nonsense", 400, "not one of ours"),
        (f"last_event_id={'A' * 400}", 400, "not one of ours"),
    ],
)
def test_what_cannot_be_is_told_and_the_connection_closed(url: str, query: str, status: int, said: str) -> None:
    with opened(url, query) as client:
        problem, code = ended(client)
    assert (problem["status"], code) == (status, 4000 + status)
    assert said in problem["detail"]


def test_seats_are_shared_with_server_sent_events(here: World) -> None:
    with served(broken(here, live_readers=2)) as url, reading(url), reading_events(url):
        with opened(url) as client:
            problem, code = ended(client)
        assert (problem["status"], code) == (503, 4503)
        assert "live readers" in problem["detail"]
        assert httpx.get(f"{url}/api/v1/live").status_code == 503


def test_what_readers_send_is_taken_in(url: str, here: World) -> None:
    with opened(url) as client:
        found = messages(client)
        next(found)
        for sent in ("ping", "{}", '{"token": "x"}', b"\x00\xff", "[" * 5_000):
            client.send(sent)
        here.publish(survey_alert(400))
        assert next(found).alert == f"ztf:{BIG + 400}"


@pytest.mark.parametrize("path", ["/api/v1/live", "/api/v1/alerts", "/static/js/live.js", "/api/v1/live/ws/x", "/"])
def test_there_is_no_other_way_in(url: str, path: str) -> None:
    with pytest.raises(InvalidStatus) as refused, connect(url.replace("http", "ws", 1) + path, proxy=None):
        pass
    assert refused.value.response.status_code == 404


def handshake(url: str) -> socket.socket:
    """A reader that has opened a WebSocket, and reads nothing after the answer's first bytes."""
    sock = small(url)
    key = "dGhlIHNhbXBsZSBub25jZQ=="
    upgrade = f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
    sock.sendall(f"GET /api/v1/live/ws HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\n{upgrade}\r\n".encode())
    assert sock.recv(12) == b"HTTP/1.1 101"
    return sock


def request(url: str) -> socket.socket:
    """The same by Server-Sent Events."""
    sock = small(url)
    sock.sendall(f"GET /api/v1/live HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\n\r\n".encode())
    assert sock.recv(12) == b"HTTP/1.1 200"
    return sock


def small(url: str) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    place = urlsplit(url)
    sock.connect((place.hostname, place.port))
    sock.settimeout(30)
    return sock


@pytest.mark.parametrize("begin", [handshake, request])
def test_who_never_reads_is_dropped_and_holds_nothing_up(here: World, begin: Callable[[str], socket.socket]) -> None:
    large = here.message(survey_alert(500) | {"candidate.note": "x" * 100_000}, "bright-transient")
    with served(broken(here, live_readers=2, live_patience=1.0, heartbeat=0.2)) as url:
        stuck = begin(url)
        with reading(url) as found:
            with opened(url) as client:
                assert ended(client)[1] == 4503  # it has a seat
            for _ in range(200):
                here.log.append([large])
                assert next(found).alert == f"ztf:{BIG + 500}"
            until = time.monotonic() + 60
            while not seat(url):
                assert time.monotonic() < until, "it keeps its seat"
                time.sleep(0.1)
            here.publish(survey_alert(501))
            assert next(found).alert == f"ztf:{BIG + 501}"
        stuck.close()


def seat(url: str) -> bool:
    """Whether there is one."""
    with opened(url) as client:
        return next(messages(client)).kind == "ready"


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("people")) as made:
        populate(made.store)
        owners = {PRIVATE: Thing("hypatia", None, "private")}
        yield replace(made, services=replace(made.services, filter_owners=lambda: owners, heartbeat=0.2, introduction=2.0))


class TestWhereAccountsAreRequired:
    @staticmethod
    def url(client: httpx.Client) -> str:
        return str(client.base_url).rstrip("/")

    def test_the_first_message_says_who(self, there: World) -> None:
        secret, _ = tokens.make(there.store, "hypatia", ["read"])
        with asked(there.services, CLOSED) as client, opened(self.url(client)) as reader:
            reader.send(json.dumps({"token": secret}))
            found = messages(reader)
            assert next(found).kind == "ready"
            there.publish(survey_alert(600), PRIVATE)
            assert next(found).alert == f"ztf:{BIG + 600}"

    @pytest.mark.parametrize(
        ("first", "status"),
        [
            ('{"token": "ncs_1_2"}', 401),
            ("{}", 401),
            ('{"token": null}', 401),
            (None, 401),
            ('{"token": 5}', 400),
            ("[]", 400),
            ("x", 400),
            (b"\x00", 400),
        ],
    )
    def test_who_does_not_say_so_is_not_told_anything(self, there: World, first: str | bytes | None, status: int) -> None:
        with asked(there.services, CLOSED) as client, opened(self.url(client)) as reader:
            if first is not None:
                reader.send(first)
            problem, code = ended(reader)
        assert (problem["status"], code) == (status, 4000 + status)

    def test_a_token_that_may_not_read(self, there: World) -> None:
        writer, _ = tokens.make(there.store, "hypatia", ["write:filters"])
        with asked(there.services, CLOSED) as client:
            with opened(self.url(client)) as reader:
                reader.send(json.dumps({"token": writer}))
                assert ended(reader)[1] == 4403
            with (
                pytest.raises(InvalidStatus) as refused,
                opened(self.url(client), additional_headers={"Authorization": f"Bearer {writer}"}),
            ):
                pass
            assert refused.value.response.status_code == 403

    def test_a_token_in_the_header(self, there: World) -> None:
        with asked(there.services, CLOSED) as client:
            good = bearer(there.store, "hypatia", "read")
            with reading(self.url(client), additional_headers=good) as found:
                there.publish(survey_alert(610), PRIVATE)
                assert next(found).alert == f"ztf:{BIG + 610}"
            for wrong in ("Bearer x", "Bearer ncs_" + "0" * 12 + "_" + "0" * 64):
                with (
                    pytest.raises(InvalidStatus) as refused,
                    opened(self.url(client), additional_headers={"Authorization": wrong}),
                ):
                    pass
                response = refused.value.response
                assert response.status_code == 401
                assert json.loads(response.body)["type"] == "urn:nuncius:problem:unauthenticated"

    def test_nobody_is_told_what_is_public(self, there: World) -> None:
        with asked(there.services, Auth(required=True)) as client:
            for first in ("{}", None):
                with opened(self.url(client)) as reader:
                    if first is not None:
                        reader.send(first)
                    found = messages(reader)
                    assert next(found).kind == "ready"
                    there.publish(survey_alert(620), PRIVATE)
                    there.publish(survey_alert(621))
                    assert next(found).alert == f"ztf:{BIG + 621}"
            with opened(self.url(client), f"filter={PRIVATE}") as reader:
                reader.send("{}")
                assert ended(reader)[1] == 4404

    def test_a_token_that_comes_late_is_not_passed_over(self, there: World) -> None:
        secret, _ = tokens.make(there.store, "hypatia", ["read"])
        with asked(there.services, Auth(required=True)) as client, opened(self.url(client)) as reader:
            reader.send("{}")
            found = messages(reader)
            assert next(found).kind == "ready"
            reader.send(json.dumps({"token": secret}))
            assert next(found).data["status"] == 401

    def test_a_token_revoked_ends_a_quiet_stream(self, there: World) -> None:
        for how in ("header", "message"):
            secret, token = tokens.make(there.store, "hypatia", ["read"])
            header = {"additional_headers": {"Authorization": f"Bearer {secret}"}} if how == "header" else {}
            with asked(there.services, CLOSED) as client, opened(self.url(client), **header) as reader:
                if how == "message":
                    reader.send(json.dumps({"token": secret}))
                assert next(messages(reader)).kind == "ready"
                tokens.revoke(there.store, token.id)
                problem, code = ended(reader)
            assert (problem["status"], code) == (401, 4401)

    def test_an_account_disabled_ends_it_too(self, there: World) -> None:
        with asked(there.services, CLOSED) as client:
            with opened(self.url(client), additional_headers=bearer(there.store, "theon", "read")) as reader:
                assert next(messages(reader)).kind == "ready"
                people_disabled(there, True)
                assert ended(reader)[1] == 4401
            people_disabled(there, False)

    def test_a_log_in_is_good_from_our_own_pages_alone(self, there: World) -> None:
        with asked(there.services, CLOSED) as client:
            log_in(client, "hypatia")
            cookie = {"Cookie": f"{COOKIE}={client.cookies[COOKIE]}"}
            ours = origin(client)["Origin"]
            with reading(self.url(client), additional_headers=cookie, origin=ours) as found:
                there.publish(survey_alert(630), PRIVATE)
                assert next(found).alert == f"ztf:{BIG + 630}"
            for stranger in ("https://evil.example", "null", "http://127.0.0.1:1", None):
                with (
                    pytest.raises(InvalidStatus) as refused,
                    opened(self.url(client), additional_headers=cookie, origin=stranger),
                ):
                    pass
                assert refused.value.response.status_code == 403
            with opened(self.url(client), additional_headers=cookie, origin=ours) as reader:
                assert next(messages(reader)).kind == "ready"
                client.delete("/api/v1/session", headers=origin(client))
                assert ended(reader)[1] == 4401

    def test_pages_of_others_read_nothing(self, there: World) -> None:
        for auth in (Auth(), Auth(required=True), CLOSED):
            with (
                asked(there.services, auth) as client,
                pytest.raises(InvalidStatus) as refused,
                opened(self.url(client), origin="https://evil.example"),
            ):
                pass
            assert refused.value.response.status_code == 403


def people_disabled(where: World, disabled: bool) -> None:
    people.set_disabled(where.store, "theon", disabled)
