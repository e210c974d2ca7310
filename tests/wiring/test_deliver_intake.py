"""Matches taken in for subscribers on both databases, with records among them that no database takes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import psycopg
import pytest
from sqlalchemy import Connection, func, select, text

from broker import topics
from broker.api.hidden import Hidden
from broker.record import Record, header
from broker.settings import AuthTable
from broker.store import deliveries, delivery_intake, delivery_work, people, subscriptions, tables
from broker.store.delivery_intake import Made
from broker.store.delivery_work import Settled
from broker.store.engine import connection, transaction
from broker.store.times import now
from broker.stream.deadletter import letter_of
from broker.wiring import dead_letters, subscribing
from broker.wiring.deliver_book import Book, Rights
from broker.wiring.deliver_intake import Intake, follow
from broker.wiring.deliver_lane import Want
from broker.wiring.deliver_turn import Asked, turn
from broker.wiring.parts import Parts
from tests.running import wait_for
from tests.subscribers import SECRET, delivering, parts_with, publish, receiver, rows_of


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def parts(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Parts]:
    url = "" if request.param == "sqlite" else request.getfixturevalue("fresh_postgres")
    with parts_with(tmp_path / "data", "bright", store=url) as opened:
        yield opened


def subscribed(parts: Parts, url: str, **more: object) -> str:
    values = {"filters": ["bright"], "channel": "webhook", "target": {"url": url}, "secret": SECRET}
    return subscribing.add(parts, values | more).subscription.id


def states(parts: Parts, one: str) -> dict[str, int]:
    return deliveries.counts(parts.store, one).get(one, {})


def test_names_padded_with_nul(parts: Parts) -> None:
    """PostgreSQL refuses them: what a survey sends ends nothing."""
    with receiver() as here, delivering(parts):
        one = subscribed(parts, here.url(), only_first=True)
        publish(parts, "bright", rows_of([1], object_id="ZTF1\0\0"))
        publish(parts, "bright", rows_of([2], object_id="ZTF1"))
        publish(parts, "bright", rows_of([3]))
        wait_for(lambda: states(parts, one) == {"delivered": 2, "skipped": 1}, 20, "it does not arrive")
    assert {each.object for each in deliveries.listing(parts.store, subscription=one).items} == {"ZTF1", "ZTF24aa00003"}


def test_a_record_that_cannot_be_written_is_left_out(parts: Parts) -> None:
    """One whose revision is no number of a database, between two that are good."""
    with receiver() as here:
        values = {
            "filters": ["bright"],
            "channel": "webhook",
            "target": {"url": here.url()},
            "secret": SECRET,
            "updates": "all",
        }
        one = subscribing.add(parts, values).subscription.id
        with delivering(parts):
            publish(parts, "bright", rows_of([1]))
            wait_for(lambda: states(parts, one) == {"delivered": 1}, 20, "it does not arrive")
        publish(parts, "bright", rows_of([1]), update="rescored", revision=1 << 70)
        publish(parts, "bright", rows_of([2]))
        with delivering(parts):
            wait_for(lambda: states(parts, one) == {"delivered": 2}, 20, "what is behind it waits for ever")
        with delivering(parts):  # its place is behind it
            publish(parts, "bright", rows_of([3]))
            wait_for(lambda: states(parts, one) == {"delivered": 3}, 20, "it is stopped by it again")
    assert {got.said["type"] for got in here.got} == {"match"}
    (letter,) = dead_letters.letters(parts)
    assert (letter.stage, letter.stream) == ("deliver", "ztf")
    assert "its subscribers cannot be told of it: " in letter.reason
    assert header(letter.record, topics.HEADER_DEAD_TOPIC) == "matched.bright"
    (told,) = (one for one in _matched(parts) if one.offset == int(header(letter.record, topics.HEADER_DEAD_OFFSET) or -1))
    assert (letter.value, header(letter.record, topics.HEADER_REVISION)) == (told.value, str(1 << 70))


def _matched(parts: Parts) -> list[Record]:
    with closing(parts.log.consumer(None, ["matched.bright"])) as consumer:
        return consumer.poll(100, 1 << 20, 5.0)


def test_a_match_that_was_refused_is_put_back_for_its_subscribers_alone(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    write, refused = delivery_intake.write, Event()

    def refusing(conn: Connection, rows: Sequence[Made], by: str = "") -> None:
        if rows and not refused.is_set():
            refused.set()
            raise ValueError("no")
        write(conn, rows, by)

    with receiver() as here:
        one = subscribed(parts, here.url())
        publish(parts, "bright", rows_of([1]))
        with monkeypatch.context() as patch, delivering(parts):
            patch.setattr(delivery_intake, "write", refusing)
            wait_for(lambda: list(dead_letters.letters(parts)), 20, "it is not kept")
        later = subscribed(parts, here.url("/later"))  # than it was told
        before = len(_matched(parts))
        for _ in range(2):
            assert dead_letters.replay(parts, dead_letters.letters(parts)) == 1
        with delivering(parts):
            wait_for(lambda: states(parts, one) == {"delivered": 1}, 20, "it does not arrive")
        assert (states(parts, later), len(_matched(parts))) == ({}, before)
        assert len(list(dead_letters.letters(parts))) == 1
        assert len(here.got) == 1


@pytest.mark.parametrize(("state", "back"), [("live", 1), ("left", 0), ("retracted", 0)])
def test_what_was_taken_back_meanwhile_is_not_put_back(parts: Parts, state: str, back: int) -> None:
    one = subscribed(parts, "http://127.0.0.1:9/", updates="all")
    intake = Intake(parts, Book(parts), Rights(parts), lambda _first: None, "tests")
    (alert_id,) = publish(parts, "bright", rows_of([1]))
    publish(parts, "bright", rows_of([1]), update="rescored")
    match, rescored = _matched(parts)
    intake.take([match])
    parts.log.append([letter_of(rescored, topics.DELIVER, "as a test")])
    places = {"event_name": "S1", "alert_id": alert_id, "revision": 1, "state": state, "hpx": 0, "time": 0}
    with transaction(parts.store) as conn:
        values = places | {"credible_level": 0.5, "density": 1.0, "dt": 0.0, "version": 1, "computed": 0}
        conn.execute(tables.associations.insert().values(values))
    assert dead_letters.replay(parts, dead_letters.letters(parts)) == back
    assert [each.change for each in deliveries.listing(parts.store, subscription=one).items].count("update") == back


@pytest.mark.parametrize(("update", "change"), [("rescored", "update"), ("retracted", "retraction")])
@pytest.mark.parametrize("tried", [None, 1])
def test_what_was_given_up_may_have_been_heard(parts: Parts, tried: int | None, update: str, change: str) -> None:
    """Where it was tried; of what never was, nothing more is said."""
    one = subscribed(parts, "http://127.0.0.1:9/", updates="all")
    intake = Intake(parts, Book(parts), Rights(parts), lambda _first: None, "tests")
    publish(parts, "bright", rows_of([1]))
    intake.take(_matched(parts))
    with transaction(parts.store) as conn:
        conn.execute(tables.deliveries.update().values(state="failed", tried=tried))
    publish(parts, "bright", rows_of([1]), update=update)
    intake.take(_matched(parts))
    said = {each.change: each.state for each in deliveries.listing(parts.store, subscription=one).items}
    assert said == {"match": "failed"} | ({} if tried is None else {change: "pending"})


def test_so_many_may_wait_and_no_more(parts: Parts) -> None:
    """What is too many is left out; who has heard of a match hears of its end all the same."""
    table = parts.settings.deliver.model_copy(update={"most_waiting": 3})
    short = replace(parts, settings=parts.settings.model_copy(update={"deliver": table}))
    with receiver() as here, delivering(short):
        one, other = subscribed(parts, here.url("/one"), updates="all"), subscribed(parts, here.url("/other"))
        publish(parts, "bright", rows_of([0]))
        wait_for(lambda: states(parts, one) == {"delivered": 1}, 20, "it does not arrive")
        subscriptions.change(parts.store, one, state="paused")
        for number in range(1, 11):
            publish(parts, "bright", rows_of([number]))
            sent = {"delivered": number + 1}
            wait_for(lambda sent=sent: states(parts, other) == sent, 20, "others have too little")
        assert states(parts, one) == {"delivered": 1, "pending": 3}
        publish(parts, "bright", rows_of([0]), update="retracted")
        wait_for(lambda: states(parts, one) == {"delivered": 1, "pending": 4}, 20, "the retraction is left out")
    full, free = subscriptions.get(parts.store, one), subscriptions.get(parts.store, other)
    assert (full.left_out, free.left_out, free.left_out_at) == (7, 0, None)
    assert full.left_out_at is not None
    assert full.changed < full.left_out_at


def test_what_waits_for_too_long_is_not_sent(parts: Parts) -> None:
    table = parts.settings.deliver.model_copy(update={"wait_days": 1e-9})
    short = replace(parts, settings=parts.settings.model_copy(update={"deliver": table}))
    with receiver() as here:
        one = subscribed(parts, here.url())
        with delivering(parts):
            subscriptions.change(parts.store, one, state="paused")
            publish(parts, "bright", rows_of([1]))
            wait_for(lambda: states(parts, one) == {"pending": 1}, 20, "it is not taken in")
        with delivering(short):
            wait_for(lambda: states(parts, one) == {"failed": 1}, 20, "it waits for ever")
    (dead,) = deliveries.listing(parts.store, subscription=one).items
    assert "deliver.wait_days" in (dead.error or "")
    assert not here.got


@pytest.mark.postgres
def test_leases_go_by_the_clock_of_the_database(tmp_path: Path, fresh_postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose clock is ahead takes nothing that another has in hand, and looks again in its own time."""
    with parts_with(tmp_path / "data", "bright", store=fresh_postgres) as parts:
        one = subscriptions.get(parts.store, subscribed(parts, "http://127.0.0.1:9/"))
        deliveries.add_test(parts.store, one.id)
        asked = Asked(wants=[Want(one, 10, tests=False)])
        assert len(turn(parts, Rights(parts), "a", asked).parcels[one.id]) == 1
        ahead = timedelta(hours=1)
        monkeypatch.setattr("broker.wiring.deliver_turn.now", lambda: now() + 3_600_000_000)
        found = turn(parts, Rights(parts), "b", asked)
    assert found.parcels[one.id] == []
    look, here = found.look[one.id], datetime.now(UTC) + ahead
    assert look is not None
    assert timedelta(0) < look - here < timedelta(seconds=31)


@pytest.mark.postgres
def test_who_removes_a_subscription_and_who_sends_to_it_wait_in_no_circle(tmp_path: Path, fresh_postgres: str) -> None:
    """Both take the subscription first, and then its deliveries."""
    with parts_with(tmp_path / "data", "bright", store=fresh_postgres) as parts:
        one = subscriptions.get(parts.store, subscribed(parts, "http://127.0.0.1:9/", rate=5))
        test, rights, want = deliveries.add_test(parts.store, one.id), Rights(parts), Want(one, 10, tests=False)
        assert turn(parts, rights, "a", Asked(wants=[want])).parcels
        at = now()
        outcome = Settled(test.id, "a", ok=True, at=at, done=at, due=None, status=204, error="")
        waiting = select(func.count()).select_from(text("pg_locks")).where(text("NOT granted"))

        def blocked() -> bool:
            with connection(parts.store) as other:
                return bool(other.execute(waiting).scalar())

        with ThreadPoolExecutor(1) as pool:
            with transaction(parts.store) as conn:  # as `subscriptions.remove` goes about it
                delivery_work.hold(conn, one.id)
                sent = pool.submit(turn, parts, rights, "a", Asked(outcomes=[outcome], wants=[want]))
                wait_for(blocked, 20, "it does not wait")
                delivery_work.drop(conn, [test.id], "removed")
            sent.result(20)
        assert deliveries.get(parts.store, test.id).state == "delivered"


@contextmanager
def away(server: str, database: str) -> Iterator[None]:
    """A database that nobody gets a connection to, and those who had one have none any more."""
    name = database.rsplit("/", 1)[1]
    with psycopg.connect(server.replace("+psycopg", ""), autocommit=True) as admin:
        admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        try:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
            yield
        finally:
            admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


@pytest.mark.postgres
def test_a_database_away_for_longer_than_a_lease(tmp_path: Path, postgres_url: str, fresh_postgres: str) -> None:
    """What is in hand meanwhile is sent once, and what comes of it is kept; what comes in meanwhile waits."""
    slow, asked = Event(), Event()

    def answer(_path: str) -> int:
        asked.set()
        slow.wait(60)
        return 204

    more = "timeout = 90\nlease_seconds = 2\n"
    with parts_with(tmp_path / "data", "bright", store=fresh_postgres, more=more) as parts, receiver(answer) as here:
        one = subscribed(parts, here.url())
        with delivering(parts):
            publish(parts, "bright", rows_of([1, 2]))
            assert asked.wait(30)
            wait_for(lambda: _leased(parts, one) == 2, 30, "they are not taken")
            with away(postgres_url, fresh_postgres):
                time.sleep(4)  # two leases
            publish(parts, "bright", rows_of([3]))
            wait_for(lambda: _leased(parts, one) == 3, 60, "the third is not taken")
            slow.set()
            wait_for(lambda: states(parts, one) == {"delivered": 3}, 60, "not all of it arrives")
        assert sorted(here.ids()) == sorted({each.id for each in deliveries.listing(parts.store, subscription=one).items})


def _leased(parts: Parts, one: str) -> int:
    return sum(each.lease_by is not None for each in deliveries.listing(parts.store, subscription=one).items)


class _Leaving(Rights):
    """An account that is disabled right after it was seen that it is not."""

    looks = 0

    def hidden_from(self, owner: str | None) -> Hidden | None:
        self.looks += 1
        return Hidden() if self.looks == 1 else super().hidden_from(owner)


def test_who_is_disabled_meanwhile_is_shown_nothing(parts: Parts) -> None:
    people.add(parts.store, "hypatia")
    people.set_disabled(parts.store, "hypatia", disabled=True)
    guarded = replace(parts, settings=parts.settings.model_copy(update={"auth": AuthTable(required=True)}))
    one = subscribed(parts, "http://127.0.0.1:9/", owner="hypatia")
    publish(parts, "bright", rows_of([1]))
    stop = Event()
    intake = Intake(guarded, Book(guarded), _Leaving(guarded), lambda _first: stop.set(), "tests")
    follow(guarded, intake, stop)
    (made,) = deliveries.listing(parts.store, subscription=one).items
    assert json.loads(made.body)["alert"]["annotations"] == {}
