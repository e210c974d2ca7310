"""Matches delivered to real servers that fail, hang, redirect and never end."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from broker.errors import NotFoundError, UsageError
from broker.settings import AuthTable
from broker.store import deliveries, delivery_intake, delivery_work, filters, people, subscriptions, tables
from broker.store.delivery import Delivery
from broker.store.delivery_intake import Made
from broker.store.engine import transaction
from broker.store.subscription import Quiet, Subscription
from broker.store.times import now
from broker.wiring import deliver_channels, deliver_send, subscribing
from broker.wiring.deliver_book import Rights
from broker.wiring.deliver_test import try_out
from broker.wiring.deliver_turn import Asked, Found
from broker.wiring.parts import Parts
from broker.wiring.trace import trace
from tests.api.world import survey_alert
from tests.deliver.servers import answer as reply
from tests.deliver.servers import server, status
from tests.running import wait_for
from tests.subscribers import SECRET, dead_port, delivering, failing, parts_with, publish, receiver, rows_of

QUICK = "backoff = [0.05, 0.1, 0.2]\nbreaker_failures = 4\nbreaker_seconds = 0.3\ntimeout = 1.5\ngive_up_hours = 0.01\n"


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    with parts_with(tmp_path / "data", "bright", "young", more=QUICK) as opened:
        yield opened


def subscribed(parts: Parts, url: str, *names: str, **more: Any) -> Subscription:
    values = {"filters": names or ("bright",), "channel": "webhook", "target": {"url": url}, "secret": SECRET}
    return subscribing.add(parts, values | more).subscription


def of(parts: Parts, one: Subscription) -> list[Delivery]:
    return deliveries.listing(parts.store, subscription=one.id, limit=10_000).items


def states(parts: Parts, one: Subscription) -> dict[str, int]:
    return deliveries.counts(parts.store, one.id).get(one.id, {})


def settled(parts: Parts, one: Subscription, number: int) -> Callable[[], bool]:
    """Whether so many deliveries wait no more."""
    return lambda: sum(count for state, count in states(parts, one).items() if state != "pending") >= number


def test_a_match_arrives_signed_with_its_links(parts: Parts) -> None:
    with receiver() as here, delivering(parts):
        one = subscribed(parts, here.url())
        (alert_id,) = publish(parts, "bright", rows_of([4]))
        wait_for(settled(parts, one, 1), 20, "it does not arrive")
    (got,) = here.got
    (kept,) = of(parts, one)
    assert got.id == kept.id
    assert got.said["type"] == "match"
    assert datetime.fromisoformat(got.said["timestamp"]) == kept.created
    data = got.said["data"]
    assert data == json.loads(kept.body)
    assert data["delivery_id"] == kept.id
    assert data["subscription_id"] == one.id
    assert (data["filter"], data["version"], data["alert"]["alert_id"]) == ("bright", "1", alert_id)
    assert data["alert"]["annotations"]["candidate.candid"] == alert_id.removeprefix("ztf:")
    assert "update" not in data
    assert data["links"] == {
        "alert": f"/alerts/{alert_id}",
        "object": "/objects/ZTF24aa00004",
        "event": None,
        "light_curve": f"/api/v1/alerts/{alert_id}/light-curve.png",
        "finding_chart": f"/api/v1/alerts/{alert_id}/finding-chart.png",
    }
    assert kept.status == 204
    assert kept.attempts == 1
    assert kept.acknowledged is not None
    (step,) = [step for step in trace(parts, alert_id).steps if step.step == "delivery"]
    assert (step.details["id"], step.details["state"], step.details["owner"]) == (kept.id, "delivered", None)
    told = deliveries.latency(parts.store, one.id)
    assert told.count == 1
    assert told.p50 == told.p99 == pytest.approx((kept.acknowledged - kept.received).total_seconds())


def test_a_server_that_fails_at_random_gets_everything(parts: Parts) -> None:
    with receiver(failing(7, 0.4)) as here, delivering(parts):
        one = subscribed(parts, here.url())
        publish(parts, "bright", rows_of(range(200)))
        wait_for(lambda: states(parts, one) == {"delivered": 200}, 60, "not all of it arrives")
    kept = of(parts, one)
    assert set(here.ids()) == {each.id for each in kept}
    assert not here.forged
    assert max(Counter(here.ids()).values()) == 1
    tries = Counter(got.id for got in here.got)
    assert tries == {each.id: each.attempts for each in kept}
    assert max(tries.values()) > 1
    bodies = {got.id: set() for got in here.got}  # type: ignore[var-annotated]
    for got in here.got:
        bodies[got.id].add(json.dumps(got.said))
    assert all(len(said) == 1 for said in bodies.values())  # repeats say the same


@pytest.mark.parametrize("path", ["/hang", "/huge", "/redirect", "/500", "gone"])
def test_who_misbehaves_delays_nobody_else(parts: Parts, path: str) -> None:
    """Everything of the good ones is there before the bad one has had more than a few."""
    with receiver(lambda asked: 500 if asked == "/500" else 204) as here, delivering(parts):
        bad = subscribed(parts, f"http://127.0.0.1:{dead_port()}/" if path == "gone" else here.url(path))
        good = [subscribed(parts, here.url(f"/good{number}")) for number in range(2)]
        publish(parts, "bright", rows_of(range(100)))
        for one in good:
            wait_for(lambda one=one: states(parts, one) == {"delivered": 100}, 60, "the bad one delays it")
        if path == "/huge":  # it has said 200, and the rest of its answer is not read
            wait_for(lambda: states(parts, bad) == {"delivered": 100}, 60, "its answer is waited for")
            return
        assert "delivered" not in states(parts, bad)
        wait_for(lambda: sum(each.attempts for each in of(parts, bad)) >= 4, 30, "it is not tried")
    failed = [each for each in of(parts, bad) if each.attempts]
    assert failed
    assert all(each.error for each in failed)
    words = {"/hang": "no whole answer within 1.5 s", "/redirect": "302", "/500": "500", "gone": "no connection"}
    assert any(words[path] in (each.error or "") for each in failed)


def test_who_hangs_has_no_more_turns_than_who_is_new(parts: Parts) -> None:
    """Those of whom it is not known that they answer share a place here: each has a try before any has another."""
    narrow = replace(parts, settings=_with(parts, total=2, breaker_failures=50))
    with receiver() as here:
        for _ in range(2):
            subscribed(parts, here.url("/hang"))
        one = subscribed(parts, here.url("/good"))
        publish(parts, "bright", rows_of(range(5)))
        with delivering(narrow):
            wait_for(lambda: len(here.tried("/good")) > 0, 60, "it has no turn")
            assert len(here.tried("/hang")) <= 3
            wait_for(settled(parts, one, 5), 60, "it does not go on")


def test_the_breaker_lets_single_probes_through_and_all_once_it_is_mended(parts: Parts) -> None:
    broken = threading.Event()
    broken.set()
    with receiver(lambda _path: 500 if broken.is_set() else 204) as here, delivering(parts):
        one = subscribed(parts, here.url())
        publish(parts, "bright", rows_of(range(300)))
        wait_for(lambda: len(here.got) >= 8, 30, "no probes")
        assert len(here.got) < 60  # not each of the 300
        broken.clear()
        wait_for(lambda: states(parts, one) == {"delivered": 300}, 60, "it does not recover")
    assert len(set(here.ids())) == 300


def test_what_is_given_up_is_dead_and_can_be_replayed(parts: Parts) -> None:
    broken = threading.Event()
    broken.set()
    short = replace(parts, settings=_with(parts, give_up_hours=0.5 / 3600))
    with receiver(lambda _path: 500 if broken.is_set() else 204) as here, delivering(short):
        one = subscribed(parts, here.url())
        publish(parts, "bright", rows_of([1]))
        wait_for(lambda: states(parts, one) == {"failed": 1}, 30, "it is never given up")
        (dead,) = deliveries.listing(parts.store, state="failed").items
        assert dead.status == 500
        assert "500" in (dead.error or "")
        assert dead.attempts == len(here.got) > 2
        broken.clear()
        deliveries.replay(parts.store, dead.id)
        wait_for(lambda: states(parts, one) == {"delivered": 1}, 30, "it is not sent again")
    assert here.ids() == [dead.id]


def test_one_that_was_long_dead_has_nothing_waiting(parts: Parts) -> None:
    """What was never tried behind the breaker is given up, too."""
    short = replace(parts, settings=_with(parts, give_up_hours=0.5 / 3600))
    with delivering(short):
        one = subscribed(parts, f"http://127.0.0.1:{dead_port()}/")
        publish(parts, "bright", rows_of(range(60)))
        wait_for(lambda: states(parts, one) == {"failed": 60}, 60, "it waits for ever")
    unsent = [each for each in of(parts, one) if not each.attempts]
    assert unsent
    assert all("given up unsent" in (each.error or "") for each in unsent)


def test_gone_and_refused_are_not_tried_again(parts: Parts) -> None:
    strict = replace(parts, settings=_with(parts, allow=()))
    with receiver(lambda _path: 410) as here:
        one = subscribed(parts, here.url())
        publish(parts, "bright", rows_of([1]))
        with delivering(parts):
            wait_for(lambda: states(parts, one) == {"failed": 1}, 20, "410 is not the end")
        publish(parts, "bright", rows_of([2]))
        with delivering(strict):
            wait_for(lambda: states(parts, one) == {"failed": 2}, 20, "it is tried again")
        assert len(here.got) == 1
    assert {each.attempts for each in of(parts, one)} == {1}
    assert "deliver.allow" in (of(parts, one)[0].error or "")
    with pytest.raises(UsageError, match=r"deliver\.allow"):
        subscribed(strict, here.url())


def test_only_what_is_published_after_subscribing(parts: Parts) -> None:
    with receiver() as here:
        publish(parts, "bright", rows_of([1]))
        time.sleep(0.002)  # the log counts milliseconds
        one = subscribed(parts, here.url(), "bright", "young")
        publish(parts, "bright", rows_of([2]))
        publish(parts, "young", rows_of([2, 3]))
        with delivering(parts):
            wait_for(settled(parts, one, 3), 20, "it does not arrive")
        assert sorted((each.filter, each.object) for each in of(parts, one)) == [
            ("bright", "ZTF24aa00002"), ("young", "ZTF24aa00002"), ("young", "ZTF24aa00003"),
        ]  # fmt: skip


def test_only_the_first_of_an_object(parts: Parts) -> None:
    with receiver() as here, delivering(parts):
        one = subscribed(parts, here.url(), "bright", "young", only_first=True)
        for first in (0, 10):  # in one batch and in another
            rows = rows_of(range(first, first + 10))
            publish(parts, "bright", [row | {"object_id": f"ZTF{number % 3}"} for number, row in enumerate(rows)])
        publish(parts, "young", rows_of([3], object_id="ZTF0"))
        wait_for(settled(parts, one, 21), 20, "it does not arrive")
    assert states(parts, one) == {"delivered": 3, "skipped": 18}
    assert sorted(got.said["data"]["alert"]["object_id"] for got in here.got) == ["ZTF0", "ZTF1", "ZTF2"]


class TestUpdates:
    def test_go_to_who_was_told(self, parts: Parts) -> None:
        with receiver() as here, delivering(parts):
            told = {
                updates: subscribed(parts, here.url(f"/{updates}"), updates=updates)
                for updates in ("all", "retractions", "none")
            }
            publish(parts, "bright", rows_of([1]))
            for one in told.values():
                wait_for(settled(parts, one, 1), 20, "the match does not arrive")
            late = subscribed(parts, here.url("/late"))
            publish(parts, "bright", rows_of([1]), update="rescored", revision=2)
            publish(parts, "bright", rows_of([1]), update="retracted", revision=3)
            publish(parts, "bright", rows_of([2]))
            wait_for(settled(parts, told["all"], 4), 20, "an update is missing")
            wait_for(settled(parts, late, 1), 20, "the match after them is missing")
            wait_for(settled(parts, told["retractions"], 3), 20, "the retraction is missing")
            wait_for(settled(parts, told["none"], 2), 20, "the second match is missing")
        kinds = {path: Counter(got.said["type"] for got in here.tried(f"/{path}")) for path in (*told, "late")}
        assert kinds == {
            "all": {"match": 2, "match.updated": 1, "match.retracted": 1},
            "retractions": {"match": 2, "match.retracted": 1},
            "none": {"match": 2},
            "late": {"match": 1},
        }
        (retracted,) = [got.said["data"] for got in here.tried("/all") if got.said["type"] == "match.retracted"]
        assert (retracted["update"], retracted["update_event"]) == ("retracted", "S1")
        assert retracted["links"]["event"] == "/events/S1"

    def test_a_match_retracted_before_it_went_out_is_never_told(self, parts: Parts) -> None:
        with receiver() as here, delivering(parts):
            one = subscribed(parts, here.url(), only_first=True)
            subscriptions.change(parts.store, one.id, state="paused")
            publish(parts, "bright", rows_of([1], object_id="ZTFx"))
            wait_for(lambda: states(parts, one) == {"pending": 1}, 20, "it is not taken in")
            publish(parts, "bright", rows_of([1], object_id="ZTFx"), update="retracted")
            wait_for(lambda: states(parts, one) == {"cancelled": 1}, 20, "it is not cancelled")
            publish(parts, "bright", rows_of([2], object_id="ZTFx"))  # the first that anybody hears of
            wait_for(lambda: states(parts, one) == {"cancelled": 1, "pending": 1}, 20, "the second is not taken in")
            subscriptions.change(parts.store, one.id, state="active")
            wait_for(lambda: states(parts, one) == {"cancelled": 1, "delivered": 1}, 20, "the second is not told")
        assert [got.said["type"] for got in here.got] == ["match"]

    def test_in_doubt_a_retraction_is_told(self, parts: Parts) -> None:
        """A server that failed may have acted on the match all the same."""
        broken = threading.Event()
        broken.set()
        slow = replace(parts, settings=_with(parts, backoff=(3600.0,), give_up_hours=24.0))
        with receiver(lambda _path: 500 if broken.is_set() else 204) as here, delivering(slow):
            one = subscribed(parts, here.url())
            publish(parts, "bright", rows_of([1]))
            wait_for(lambda: sum(each.attempts for each in of(parts, one)) == 1, 20, "it is not tried")
            broken.clear()
            publish(parts, "bright", rows_of([1]), update="retracted")
            wait_for(lambda: states(parts, one) == {"cancelled": 1, "delivered": 1}, 20, "the retraction is not told")
        assert [got.said["type"] for got in here.got if got.status < 300] == ["match.retracted"]

    @pytest.mark.parametrize("status", [204, 500])
    def test_a_retraction_does_not_overtake_its_match(self, parts: Parts, status: int) -> None:
        """Which its receiver is slow to take, or does not take."""
        armed, slow, asked = threading.Event(), threading.Event(), threading.Event()

        def answer(_path: str) -> int:
            if not armed.is_set() or asked.is_set():
                return 204
            asked.set()
            slow.wait(60)
            return status

        long = replace(parts, settings=_with(parts, timeout=90.0))
        with receiver(answer) as here, delivering(long):
            one = subscribed(parts, here.url())
            publish(parts, "bright", rows_of(range(10, 14)))  # so that it is known to answer: several are under way at once
            wait_for(settled(parts, one, 4), 20, "they do not arrive")
            armed.set()
            (alert_id,) = publish(parts, "bright", rows_of([1]))
            assert asked.wait(30)
            publish(parts, "bright", rows_of([1]), update="retracted")
            publish(parts, "bright", rows_of([2]))
            expected = {"cancelled": 1, "pending": 1, "delivered": 5}
            wait_for(lambda: states(parts, one) == expected, 20, "what is of another alert waits")
            slow.set()
            wait_for(
                lambda: states(parts, one).get("delivered", 0) >= 6 and not states(parts, one).get("pending"), 20, "no end"
            )
        told = [got.said["type"] for got in here.got if got.said["data"]["alert"]["alert_id"] == alert_id]
        assert told == ["match", "match.retracted"]

    def test_what_arrives_while_the_next_is_found_to_wait_for_it(self, parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
        """The next goes out then, and not once the lease of what is long through has ended."""
        begun, slow, noted = threading.Event(), threading.Event(), threading.Event()
        real, note = deliver_send.turn, deliver_send.Senders._note

        def turn(parts: Parts, rights: Rights, by: str, asked: Asked) -> Found:
            found = real(parts, rights, by, asked)
            if found.behind:
                slow.set()
                assert noted.wait(20)
            return found

        def noting(*args: Any) -> None:
            note(*args)
            if slow.is_set():
                noted.set()

        def answer(_path: str) -> int:
            begun.set()
            slow.wait(60)
            return 204

        monkeypatch.setattr(deliver_send, "turn", turn)
        monkeypatch.setattr(deliver_send.Senders, "_note", noting)
        long = replace(parts, settings=_with(parts, timeout=90.0, lease_seconds=600.0))
        with receiver(answer) as here, delivering(long):
            one = subscribed(parts, here.url(), updates="all")
            publish(parts, "bright", rows_of([1]))
            assert begun.wait(20)
            publish(parts, "bright", rows_of([1]), update="rescored")
            wait_for(lambda: states(parts, one) == {"delivered": 2}, 30, "it waits for what has arrived")
        assert [got.said["type"] for got in here.got] == ["match", "match.updated"]

    def test_what_a_process_died_with_is_in_doubt(self, parts: Parts) -> None:
        """Its receiver may have the match: the successor tells it of the retraction, whichever it comes to first."""
        with receiver() as here:
            one = subscribed(parts, here.url())
            with delivering(parts):
                subscriptions.change(parts.store, one.id, state="paused")
                publish(parts, "bright", rows_of([1]))
                wait_for(lambda: states(parts, one) == {"pending": 1}, 20, "it is not taken in")
            at = now()
            for act in ("taken", "taken back"):  # as by a process that is killed, and the next one of its name
                with transaction(parts.store) as conn:
                    if act == "taken":
                        assert delivery_work.take(conn, one.id, 9, delivery_work.Lease("dead-0", at, at + 30_000_000))
                    else:
                        assert delivery_work.release(conn, "dead-0", at) == 1
            publish(parts, "bright", rows_of([1]), update="retracted")
            with delivering(parts):
                wait_for(lambda: states(parts, one) == {"cancelled": 1, "pending": 1}, 20, "the retraction is not to be told")
                subscriptions.change(parts.store, one.id, state="active")
                wait_for(lambda: states(parts, one) == {"cancelled": 1, "delivered": 1}, 20, "the retraction is not told")
        assert [got.said["type"] for got in here.got] == ["match.retracted"]

    def test_picked_only_now_is_a_match(self, parts: Parts) -> None:
        """An alert that a map comes to hold is told as scored again; whoever subscribed before hears of it first."""
        with receiver() as here, delivering(parts):
            one = subscribed(parts, here.url(), updates="none")
            publish(parts, "young", rows_of([1]))  # so that the alert is there
            with transaction(parts.store) as conn:
                conn.execute(
                    tables.matches.insert().values(
                        filter="bright", version="1", alert_id=rows_of([1])[0]["alert_id"], time=now()
                    )
                )
            for _ in range(2):
                publish(parts, "bright", rows_of([1]), update="rescored")
            publish(parts, "bright", rows_of([2]))
            wait_for(settled(parts, one, 2), 20, "it does not arrive")
        assert [got.said["type"] for got in here.got] == ["match", "match"]
        assert [each.revision for each in of(parts, one)][-1] == 1

    def test_latency_of_an_update_counts_from_the_update(self, parts: Parts) -> None:
        """And not from an alert of days ago."""
        with receiver() as here, delivering(parts):
            one = subscribed(parts, here.url(), updates="all")
            publish(parts, "bright", rows_of([1]))
            wait_for(settled(parts, one, 1), 20, "it does not arrive")
            with transaction(parts.store) as conn:
                long_ago = tables.alerts.c.received - 10 * 86_400_000_000
                conn.execute(tables.alerts.update().values(received=long_ago))
            publish(parts, "bright", rows_of([1]), update="rescored")
            wait_for(settled(parts, one, 2), 20, "the update does not arrive")
        match, update = sorted(of(parts, one), key=lambda each: each.created)
        assert update.received >= match.received
        told = deliveries.latency(parts.store, one.id)
        assert told.count == 2
        assert told.p99 is not None
        assert told.p99 < 86_400

    def test_a_batch_done_again_says_the_same(self, parts: Parts) -> None:
        """As after a crash between database and log: the group's place is lost, and all is read anew."""
        with receiver() as here:
            one = subscribed(parts, here.url())
            publish(parts, "bright", rows_of([1, 2]))
            publish(parts, "bright", rows_of([1]), update="rescored")
            publish(parts, "bright", rows_of([2]), update="retracted")
            with delivering(parts):
                wait_for(settled(parts, one, 3), 20, "it does not arrive")
            before = {each.id: each.state for each in of(parts, one)}
            again = replace(parts, settings=_with(parts, group="another"))
            with delivering(again):
                publish(parts, "bright", rows_of([3]))
                wait_for(settled(parts, one, len(before) + 1), 20, "it does not arrive")
            after = {each.id: each.state for each in of(parts, one)}
        assert {ident: after[ident] for ident in before} == before
        assert len(after) == len(before) + 1


class TestPace:
    def test_digest(self, parts: Parts) -> None:
        broken = threading.Event()
        broken.set()
        with receiver(lambda _path: 500 if broken.is_set() else 204) as here, delivering(parts):
            one = subscribed(parts, here.url(), digest=1440)
            ids = publish(parts, "bright", rows_of(range(5)))
            wait_for(lambda: states(parts, one) == {"pending": 5}, 20, "it is not taken in")
            assert not here.got
            assert len({each.due for each in of(parts, one)}) == 1
            subscriptions.change(parts.store, one.id, digest=1)  # what waits is then due
            wait_for(lambda: len(here.got) >= 2, 20, "it is not sent")
            publish(parts, "bright", rows_of([9]))  # of the next digest, and not of one that is tried again
            broken.clear()
            wait_for(lambda: states(parts, one).get("delivered") == 5, 20, "it does not arrive")
        assert len({got.id for got in here.got}) == 1
        (last,) = [got for got in here.got if got.status < 300]
        assert last.said["type"] == "digest"
        assert last.said["data"]["count"] == 5
        assert sorted(one["alert"]["alert_id"] for one in last.said["data"]["matches"]) == sorted(ids)
        assert {each.digest for each in of(parts, one) if each.state == "delivered"} == {last.id}

    def test_quiet_hours_and_a_test_in_them(self, parts: Parts) -> None:
        here_and_now = datetime.now(UTC)
        quiet = Quiet((here_and_now - timedelta(hours=1)).time(), (here_and_now + timedelta(hours=1)).time(), "UTC")
        with receiver() as here, delivering(parts):
            one = subscribed(parts, here.url(), quiet=quiet)
            publish(parts, "bright", rows_of([1]))
            wait_for(lambda: states(parts, one) == {"pending": 1}, 20, "it is not taken in")
            (waiting,) = of(parts, one)
            assert timedelta(minutes=58) < waiting.due - here_and_now < timedelta(minutes=62)
            deliveries.add_test(parts.store, one.id)
            wait_for(lambda: len(here.got) == 1, 20, "the test waits")
            subscriptions.change(parts.store, one.id, quiet=None)
            wait_for(lambda: len(here.got) == 2, 20, "what waited does not come")
        assert [got.said["type"] for got in here.got] == ["test", "match"]

    def test_rate(self, parts: Parts) -> None:
        with receiver() as here:
            one = subscribed(parts, here.url("/slowly"), rate=7)
            other = subscribed(parts, here.url("/at-once"))
            publish(parts, "bright", rows_of(range(30)))
            with delivering(parts):
                wait_for(settled(parts, other, 30), 30, "the other waits, too")
                wait_for(settled(parts, one, 7), 30, "none comes")
            publish(parts, "bright", rows_of([40]))
            with delivering(parts):  # another process knows how many there were
                wait_for(settled(parts, other, 31), 30, "the other waits, too")
        assert states(parts, one) == {"delivered": 7, "pending": 24}
        assert len(here.tried("/slowly")) == 7

    def test_paused_waits_and_removed_is_cancelled(self, parts: Parts) -> None:
        with receiver() as here, delivering(parts):
            one = subscribed(parts, here.url())
            subscriptions.change(parts.store, one.id, state="paused")
            publish(parts, "bright", rows_of([1, 2]))
            wait_for(lambda: states(parts, one) == {"pending": 2}, 20, "it is not taken in")
            subscriptions.change(parts.store, one.id, state="active")
            wait_for(lambda: states(parts, one) == {"delivered": 2}, 20, "it does not go on")
            subscriptions.change(parts.store, one.id, state="paused")
            publish(parts, "bright", rows_of([3]))
            wait_for(lambda: states(parts, one).get("pending") == 1, 20, "it is not taken in")
            subscribing.remove(parts, one.id)
            assert states(parts, one) == {"delivered": 2, "cancelled": 1}
            publish(parts, "bright", rows_of([4]))
            other = subscribed(parts, here.url("/other"))
            publish(parts, "bright", rows_of([5]))
            wait_for(settled(parts, other, 1), 20, "the other gets nothing")
        assert states(parts, one) == {"delivered": 2, "cancelled": 1}
        assert len(here.tried("/hook")) == 2

    def test_removed_while_it_is_on_its_way(self, parts: Parts) -> None:
        slow, asked = threading.Event(), threading.Event()

        def answer(_path: str) -> int:
            asked.set()
            slow.wait(1)
            return 204

        with receiver(answer) as here, delivering(parts):
            one = subscribed(parts, here.url())
            publish(parts, "bright", rows_of([1]))
            assert asked.wait(20)
            subscribing.remove(parts, one.id)
            slow.set()
            wait_for(lambda: states(parts, one) == {"delivered": 1}, 20, "its end is not kept")


def test_owners_are_told_of_nothing_that_they_may_not_see(parts: Parts) -> None:
    with transaction(parts.store) as conn:
        conn.execute(
            tables.filter_names.update()
            .where(tables.filter_names.c.name == "young")
            .values(owner="theon", visibility="private")
        )
        conn.exec_driver_sql("UPDATE counters SET value = value + 1 WHERE name = 'filters'")
    for name in ("theon", "hypatia", "gone"):
        people.add(parts.store, name)
    people.set_disabled(parts.store, "gone", disabled=True)
    guarded = replace(parts, settings=parts.settings.model_copy(update={"auth": AuthTable(required=True)}))
    with receiver() as here, delivering(guarded):
        owned = {
            name: subscribed(parts, here.url(f"/{name}"), "bright", "young", owner=name)
            for name in ("theon", "hypatia", "gone")
        }
        publish(parts, "young", rows_of([1]))
        publish(parts, "bright", rows_of([2]))
        wait_for(settled(parts, owned["theon"], 2), 20, "the owner gets too little")
        wait_for(settled(parts, owned["hypatia"], 1), 20, "the public filter is not told")
    assert [got.said["data"]["filter"] for got in here.tried("/hypatia")] == ["bright"]
    assert states(parts, owned["gone"]) == {}


def test_a_filter_that_is_made_private_is_cancelled_where_it_waits(parts: Parts) -> None:
    people.add(parts.store, "theon")
    people.add(parts.store, "hypatia")
    guarded = replace(parts, settings=parts.settings.model_copy(update={"auth": AuthTable(required=True)}))
    with receiver() as here, delivering(guarded):
        one = subscribed(parts, here.url(), owner="hypatia")
        subscriptions.change(parts.store, one.id, state="paused")
        publish(parts, "bright", rows_of([1]))
        wait_for(lambda: states(parts, one) == {"pending": 1}, 20, "it is not taken in")
        with transaction(parts.store) as conn:
            conn.execute(
                tables.filter_names.update()
                .where(tables.filter_names.c.name == "bright")
                .values(owner="theon", visibility="private")
            )
            conn.exec_driver_sql("UPDATE counters SET value = value + 1 WHERE name = 'filters'")
        time.sleep(1.1)  # rights are right to a second
        subscriptions.change(parts.store, one.id, state="active")
        wait_for(lambda: states(parts, one) == {"cancelled": 1}, 20, "it is not cancelled")
    assert not here.got


def test_voevents(parts: Parts) -> None:
    with receiver() as here, delivering(parts):
        one = subscribed(parts, here.url(), target={"url": here.url(), "format": "voevent"})
        publish(parts, "bright", rows_of([1]))
        wait_for(settled(parts, one, 1), 20, "it does not arrive")
        publish(parts, "bright", rows_of([1]), update="retracted")
        wait_for(settled(parts, one, 2), 20, "the retraction does not arrive")
    packets = [etree.fromstring(got.said.encode()) for got in here.got]
    assert [packet.get("version") for packet in packets] == ["2.0", "2.0"]
    assert packets[0].get("ivorn") == packets[1].findtext(".//EventIVORN")
    assert not here.forged
    with pytest.raises(UsageError, match="one match"):
        subscribed(parts, here.url(), target={"url": here.url(), "format": "voevent"}, digest=5)


@contextmanager
def json_receiver(meanwhile: Callable[[], None] = lambda: None) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server that takes apprise's JSON: its address of apprise, and what it got."""
    bodies: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            meanwhile()
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"json://127.0.0.1:{server.server_address[1]}/", bodies
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_cards_go_by_apprise(parts: Parts) -> None:
    """To a server that takes apprise's JSON, with the pictures."""
    with json_receiver() as (url, bodies), delivering(parts):
        one = subscribed(parts, "", channel="message", target={"urls": [url]}, secret="")
        publish(parts, "bright", rows_of([4]))
        wait_for(settled(parts, one, 1), 60, "it does not arrive")
    assert states(parts, one) == {"delivered": 1}
    (body,) = bodies
    assert "ZTF24aa00004" in body["title"]


def test_one_bad_address_has_the_others_told_once_and_holds_nothing_back(parts: Parts) -> None:
    """The first of three takes nothing: the others have each match once, those that come after many failures, too."""
    with server(reply(status(500))) as bad, json_receiver() as (url, bodies), json_receiver() as (other, more):
        long = replace(parts, settings=_with(parts, give_up_hours=1.0))
        urls = [f"json://127.0.0.1:{bad.port}/", url, other]
        with delivering(long):
            one = subscribed(parts, "", channel="message", target={"urls": urls}, secret="")
            publish(parts, "bright", rows_of(range(3)))
            wait_for(lambda: len(bodies) >= 3 and len(more) >= 3, 60, "the good ones do not have it")
            wait_for(lambda: len(bad.requests) > 8, 60, "the bad one is not tried again")  # twice what opens the breaker
            publish(parts, "bright", rows_of(range(3, 6)))
            wait_for(lambda: len(bodies) >= 6 and len(more) >= 6, 60, "the good ones wait for the bad one")
            last = len(bad.requests)
            wait_for(lambda: len(bad.requests) > last + 4, 60, "the bad one is not tried again")
        assert [len({body["title"] for body in some}) for some in (bodies, more)] == [6, 6]
        assert (len(bodies), len(more)) == (6, 6)
        assert all(len((each.told or "").split()) == 2 for each in of(parts, one))
        assert url not in str(of(parts, one))
        subscribing.change(parts, one.id, {"target": {"urls": urls[1:]}})  # the bad one is taken off
        with delivering(long):
            wait_for(lambda: states(parts, one) == {"delivered": 6}, 60, "it is tried for ever")
    assert (len(bodies), len(more)) == (6, 6)


def test_what_is_given_up_for_one_bad_address_is_taken_back_from_the_others(parts: Parts) -> None:
    short = replace(parts, settings=_with(parts, give_up_hours=0.5 / 3600))
    with server(reply(status(500))) as bad, json_receiver() as (url, bodies), delivering(short):
        urls = [url, f"json://127.0.0.1:{bad.port}/"]
        one = subscribed(parts, "", channel="message", target={"urls": urls}, secret="")
        publish(parts, "bright", rows_of([1]))
        wait_for(lambda: states(parts, one) == {"failed": 1}, 60, "it is never given up")
        assert len(bodies) == 1
        publish(parts, "bright", rows_of([1]), update="retracted")
        wait_for(lambda: len(bodies) == 2, 60, "who has the match does not hear that it is taken back")
    assert bodies[1]["title"].startswith("Retracted: ")


class TestPassingTrouble:
    """Of ours, and not of who is told: nothing is given up for it."""

    def test_a_message_goes_without_pictures_that_cannot_be_drawn(self, parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
        def crowded(*_: object, **__: object) -> Any:
            raise MemoryError

        monkeypatch.setattr("broker.wiring.deliver_channels.reading.light_curve", crowded)
        with json_receiver() as (url, bodies), delivering(parts):
            one = subscribed(parts, "", channel="message", target={"urls": [url]}, secret="")
            publish(parts, "bright", rows_of([4]))
            wait_for(settled(parts, one, 1), 60, "it does not arrive")
        assert states(parts, one) == {"delivered": 1}
        assert "ZTF24aa00004" in bodies[0]["title"]

    def test_what_could_not_be_made_is_made_again(self, parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
        said, tried = deliver_channels.message_of, list[str]()

        def crowded(some: Sequence[Delivery], **more: Any) -> bytes:
            tried.append(some[0].id)
            if len(tried) == 1:
                raise RuntimeError("can't start new thread")
            return said(some, **more)

        monkeypatch.setattr(deliver_channels, "message_of", crowded)
        with receiver() as here, delivering(parts):
            one = subscribed(parts, here.url())
            publish(parts, "bright", rows_of([1]))
            wait_for(settled(parts, one, 1), 20, "it is not tried again")
        assert states(parts, one) == {"delivered": 1}
        assert here.ids() == tried[:1]

    def test_a_name_that_leads_nowhere_for_a_while(self, parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
        asked, look = list[str](), socket.getaddrinfo

        def blocked(host: Any, port: Any, *args: Any, **more: Any) -> Any:
            if host != "hook.example":
                return look(host, port, *args, **more)
            asked.append(host)
            where = "0.0.0.0" if len(asked) == 1 else "127.0.0.1"
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (where, port))]

        monkeypatch.setattr("broker.deliver.addresses.socket.getaddrinfo", blocked)
        with receiver() as here, delivering(parts):
            one = subscribed(parts, f"http://hook.example:{here.port}/hook")
            publish(parts, "bright", rows_of([1]))
            wait_for(settled(parts, one, 1), 20, "it is not tried again")
        assert states(parts, one) == {"delivered": 1}

    def test_one_match_that_cannot_be_told_of_keeps_nobody_from_the_rest(self) -> None:
        good = {"filter": "bright", "alert": survey_alert(3) | {"annotations": {}}}
        shown = deliver_channels._digest([good, {"alert": None}])
        assert "2 matches" in shown.title
        assert "ZTF24aa00003" in shown.text


class TestByHand:
    def test_a_test_needs_no_other_process(self, parts: Parts) -> None:
        with receiver() as here:
            one = subscribed(parts, here.url())
            came = try_out(parts, one.id)
            assert (came.state, came.status, came.change) == ("delivered", 204, "test")
            assert here.ids() == [came.id]
            assert here.got[0].said["type"] == "test"
        came = try_out(parts, one.id)
        assert came.state == "failed"
        assert "no connection" in (came.error or "")
        with pytest.raises(NotFoundError):
            try_out(parts, "sub_000000000000")

    def test_a_test_of_messages_is_its_senders_until_it_ends(self, parts: Parts) -> None:
        """Mail may take longer than a webhook; nobody else sends it meanwhile."""
        leases: list[tuple[float, str | None]] = []

        def look() -> None:
            (test,) = deliveries.listing(parts.store).items
            assert test.lease_until is not None
            leases.append(((test.lease_until - test.created).total_seconds(), test.lease_by))

        with json_receiver(look) as (url, bodies):
            one = subscribed(parts, "", channel="message", target={"urls": [url]}, secret="")
            assert try_out(parts, one.id).state == "delivered"
        assert len(bodies) == len(leases) == 1
        assert leases[0][0] > deliver_channels.MESSAGE_SECONDS + deliver_channels.DRAWING_SECONDS

    def test_unknown_filters_are_refused(self, parts: Parts) -> None:
        with pytest.raises(NotFoundError, match="did you mean bright"):
            subscribed(parts, "http://127.0.0.1/", "brigt")

    def test_a_secret_is_made(self, parts: Parts) -> None:
        one = subscribed(parts, "http://127.0.0.1/", secret="")
        assert one.secret.startswith("whsec_")
        assert subscribing.change(parts, one.id, {"secret": ""}).subscription.secret != one.secret
        with pytest.raises(UsageError, match="whsec_"):
            subscribed(parts, "http://127.0.0.1/", secret="hush")


def test_another_process_takes_over_what_one_had_in_hand(parts: Parts) -> None:
    """The lease of one that is gone ends; its own successor does not wait for that."""
    short = replace(parts, settings=_with(parts, lease_seconds=3.0))
    with receiver() as here:
        one = subscribed(parts, here.url())
        publish(parts, "bright", rows_of(range(20)))
        with delivering(short):
            wait_for(settled(parts, one, 20), 20, "it does not arrive")
        idents = [each.id for each in of(parts, one)]
        for ident in idents:
            deliveries.replay(parts.store, ident)
        with transaction(parts.store) as conn:
            at = now()
            taken = delivery_work.take(conn, one.id, 100, delivery_work.Lease("elsewhere-0", at, at + 2_000_000))
        assert len(taken) == 20
        with delivering(short):
            wait_for(lambda: states(parts, one) == {"delivered": 20}, 30, "nobody takes over")
    assert Counter(here.ids()) == dict.fromkeys(idents, 2)


def test_what_another_takes_in_has_only_those_looked_at_of_whom_something_waits(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, wanted = deliver_send.turn, set[str]()

    def turn(parts: Parts, rights: Rights, by: str, asked: Asked) -> Found:
        wanted.update(want.subscription.id for want in asked.wants)
        return real(parts, rights, by, asked)

    monkeypatch.setattr(deliver_send, "turn", turn)
    with receiver() as here:
        one, *others = [subscribed(parts, here.url()) for _ in range(6)]
        with delivering(parts):
            wait_for(lambda: len(wanted) == 6, 20, "not all are looked at")
            wanted.clear()
            at = now()
            row = Made(one.id, "bright", "1", "ztf:1", "ZTF1", "match", None, None, '{"filter":"bright"}', at, at, at)
            with transaction(parts.store) as conn:
                delivery_intake.write(conn, [row], "elsewhere-0")
            wait_for(lambda: states(parts, one) == {"delivered": 1}, 20, "it does not arrive")
        assert wanted == {one.id}
        assert len(others) == 5


def test_a_clock_put_forward_sends_nothing_twice(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases of what is under way have ended then, by the clock: who has it does not take it from itself."""
    slow, asked = threading.Event(), threading.Event()

    def answer(_path: str) -> int:
        asked.set()
        slow.wait(20)
        return 204

    patient = replace(parts, settings=_with(parts, timeout=30.0))
    with receiver(answer) as here, delivering(patient):
        one = subscribed(parts, here.url())
        publish(parts, "bright", rows_of([1, 2]))
        assert asked.wait(20)
        wait_for(lambda: all(each.lease_by for each in of(parts, one)), 20, "they are not taken")
        monkeypatch.setattr("broker.store.delivery_work.now", lambda: now() + 3_600_000_000)
        publish(parts, "bright", rows_of([3]))
        wait_for(lambda: [bool(each.lease_by) for each in of(parts, one)] == [True] * 3, 20, "the third is not taken")
        slow.set()
        wait_for(lambda: states(parts, one) == {"delivered": 3}, 20, "not all of it arrives")
        publish(parts, "bright", rows_of([4]))
        wait_for(lambda: states(parts, one) == {"delivered": 4}, 20, "it does not go on")
    assert Counter(here.ids()) == dict.fromkeys([each.id for each in of(parts, one)], 1)


def test_several_share_the_work(parts: Parts, tmp_path: Path) -> None:
    """Each delivery is sent by one of them."""
    with receiver() as here:
        one = subscribed(parts, here.url())
        publish(parts, "bright", rows_of(range(400)))
        with delivering(parts), delivering(parts):
            wait_for(lambda: states(parts, one) == {"delivered": 400}, 60, "not all of it arrives")
    assert sorted(here.ids()) == sorted({each.id for each in of(parts, one)})


def test_old_deliveries_are_forgotten(parts: Parts) -> None:
    with receiver() as here:
        one = subscribed(parts, here.url())
        publish(parts, "bright", rows_of([1]))
        with delivering(parts):
            wait_for(settled(parts, one, 1), 20, "it does not arrive")
        subscriptions.change(parts.store, one.id, state="paused")
        short = replace(parts, settings=_with(parts, keep_days=1e-9))
        publish(parts, "bright", rows_of([2]))
        with delivering(short):
            wait_for(lambda: states(parts, one) == {"pending": 1}, 20, "it is kept")
        with delivering(short):
            wait_for(lambda: states(parts, one) == {"pending": 1}, 20, "what waits is forgotten")


def _hide(parts: Parts, name: str, owner: str) -> None:
    """Make a filter somebody's, and nobody else's to see."""
    filters.share(parts.store, name, filters.Ownership(owner, None, "private"))


def _with(parts: Parts, **changes: Any) -> Any:
    table = parts.settings.deliver.model_copy(update=changes)
    return parts.settings.model_copy(update={"deliver": table})
