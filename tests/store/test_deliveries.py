"""Deliveries on both databases: made once, taken by one, settled, replayed, forgotten."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import event, select, update

from broker.errors import ConflictError, UsageError
from broker.store import deliveries, delivery_due, delivery_intake, delivery_work, subscriptions, tables
from broker.store.delivery import Delivery, delivery_id, told_of
from broker.store.delivery_intake import Made
from broker.store.delivery_work import Lease, Settled
from broker.store.engine import Store, close, connection, open_store, transaction
from broker.store.migrate import migrate
from broker.store.subscription import Subscription
from broker.store.times import now

SECOND = 1_000_000


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path}/n.db" if request.param == "sqlite" else request.getfixturevalue("fresh_postgres")
    opened = open_store(url, synchronous="off")
    migrate(opened)
    yield opened
    close(opened)


@pytest.fixture
def one(store: Store) -> Subscription:
    return subscribe(store)


def subscribe(store: Store, **more: Any) -> Subscription:
    return subscriptions.add(store, filters=["bright"], channel="webhook", target={"url": "https://example.org"}, **more)


def made(one: Subscription, number: int, **more: Any) -> Made:
    at = now()
    values: dict[str, Any] = {
        "subscription": one.id, "filter": "bright", "version": "1", "alert_id": f"ztf:{number:05d}", "object": f"ZTF{number}",
        "change": "match", "event": None, "revision": None, "body": f'{{"n":{number}}}', "received": at - SECOND,
        "created": at + number, "due": at,
    }  # fmt: skip
    return Made(**values | more)


def write(store: Store, rows: Sequence[Made]) -> list[str]:
    with transaction(store) as conn:
        delivery_intake.write(conn, rows, "tests")
    return [row.id for row in rows]


def take(
    store: Store, one: Subscription, limit: int = 1000, *, by: str = "a", seconds: float = 30.0, at: int = 0
) -> list[Delivery]:
    at = at or now()
    with transaction(store) as conn:
        return delivery_work.take(conn, one.id, limit, Lease(by, at, at + round(seconds * SECOND)))


def settle(store: Store, ident: str, *, ok: bool = True, by: str = "a", due: int | None = None, **more: Any) -> None:
    at = now()
    values: dict[str, Any] = {"at": at, "done": at, "status": 204 if ok else 500, "error": "" if ok else "500", "digest": None}
    with transaction(store) as conn:
        delivery_work.settle(conn, [Settled(ident, by, ok, due=due, **values | more)])


class TestMade:
    def test_once(self, store: Store, one: Subscription) -> None:
        rows = [made(one, number) for number in range(5)]
        ids = write(store, rows)
        settle_at = take(store, one, 1)[0].id
        settle(store, settle_at)
        write(store, [made(one, number, body="{}") for number in range(6)])  # done again
        assert deliveries.counts(store, one.id) == {one.id: {"delivered": 1, "pending": 5}}
        assert deliveries.get(store, ids[1]).body == '{"n":1}'
        assert all(ident.startswith("dlv_") and len(ident) == 28 for ident in ids)

    def test_without_what_postgresql_refuses(self, store: Store, one: Subscription) -> None:
        """C programs that pad strings leave NUL in names."""
        row = made(one, 1, object="ZTF1\0\0", alert_id="ztf:1\0", version="1\0", change="update", event="S\0" + "1", revision=1)
        write(store, delivery_firsts(store, [row]))
        kept = deliveries.get(store, row.id)
        assert (kept.object, kept.alert_id, kept.version, kept.event) == ("ZTF1", "ztf:1", "1", "S1")
        assert kept.id == delivery_id(one.id, "bright", "ztf:1", "update", "S1", 1)

    def test_ids_tell_apart_what_is_not_the_same(self, one: Subscription) -> None:
        keys = [("match", None, None), ("update", "S1", 1), ("update", "S1", 2), ("update", "S2", 1), ("retraction", "S1", 1)]
        ids = {delivery_id(one.id, "f", "a", *key) for key in keys}
        ids |= {delivery_id(one.id, "fa", "", *keys[0]), delivery_id("", f"{one.id}f", "a", *keys[0])}
        assert len(ids) == len(keys) + 2

    def test_only_the_first_of_an_object(self, store: Store, one: Subscription) -> None:
        other = subscribe(store)
        rows = [made(which, number, object="ZTFx") for which in (one, other) for number in range(3)]
        for _ in range(2):
            with transaction(store) as conn:
                found = delivery_intake.firsts(conn, rows)
            assert [row.state for row in found] == ["pending", "skipped", "skipped"] * 2
        assert all(row.body == "" for row in found if row.state == "skipped")
        write(store, found)
        with transaction(store) as conn:  # retracted before anybody heard of it: the next is the first
            there = delivery_intake.told(conn, ["ztf:00000"])[one.id, "bright", "ztf:00000"]
            delivery_intake.cancel(conn, there, "retracted")
            assert delivery_intake.firsts(conn, [made(one, 9, object="ZTFx")])[0].state == "pending"
            assert delivery_intake.firsts(conn, [made(other, 9, object="ZTFx")])[0].state == "skipped"
        assert deliveries.get(store, rows[0].id).error == "retracted"

    def test_more_than_a_database_takes_in_one_statement(self, store: Store, one: Subscription) -> None:
        ids = write(store, delivery_firsts(store, [made(one, number) for number in range(1200)]))
        with transaction(store) as conn:
            there = delivery_intake.told(conn, [f"ztf:{number:05d}" for number in range(1200)])
            assert len(there) == 1200
            delivery_intake.cancel(conn, [told for some in there.values() for told in some], "all")
        assert deliveries.counts(store) == {one.id: {"cancelled": 1200}}
        for ident in ids[:3]:
            deliveries.replay(store, ident)
        assert len(take(store, one)) == 3


def delivery_firsts(store: Store, rows: Sequence[Made]) -> list[Made]:
    with transaction(store) as conn:
        return delivery_intake.firsts(conn, rows)


class TestTaken:
    def test_in_order_and_by_one(self, store: Store, one: Subscription) -> None:
        at = now()
        write(store, [made(one, number, due=at - number, created=at) for number in range(10)])
        write(store, [made(one, 99, due=at + 3600 * SECOND)])
        first = take(store, one, 4)
        assert [each.alert_id for each in first] == [f"ztf:{number:05d}" for number in (9, 8, 7, 6)]
        second = take(store, one, by="b")
        assert len(second) == 6
        assert take(store, one) == []
        with transaction(store) as conn:
            due = delivery_work.next_due(conn, one.id)
        assert due is not None
        assert at < due <= at + 60 * SECOND  # the end of the leases

    def test_by_many_at_once(self, store: Store, one: Subscription) -> None:
        write(store, [made(one, number) for number in range(200)])
        found: list[str] = []
        faults: list[BaseException] = []

        def work(by: str) -> None:
            try:
                while some := take(store, one, 7, by=by):
                    found.extend(each.id for each in some)
            except BaseException as error:  # noqa: BLE001
                faults.append(error)

        threads = [threading.Thread(target=work, args=(str(number),)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not faults
        # On PostgreSQL those that pass over what others are about to take may come away empty; what they passed over is taken.
        assert set(Counter(found).values()) == {1}
        assert len(found) == 200

    def test_what_is_not_heard_of_is_taken_by_another(self, store: Store, one: Subscription) -> None:
        (ident,) = write(store, [made(one, 1)])
        assert [each.id for each in take(store, one, by="a", seconds=5)] == [ident]
        assert take(store, one, by="b") == []
        later = now() + 6 * SECOND
        assert [each.id for each in take(store, one, by="b", at=later)] == [ident]
        settle(store, ident, ok=False, by="a", due=0)  # who was thought dead does not take it from who has it now
        assert deliveries.get(store, ident).lease_by == "b"
        settle(store, ident, ok=True, by="a")  # but what arrived has arrived
        assert deliveries.get(store, ident).state == "delivered"
        settle(store, ident, ok=False, by="b")
        assert deliveries.get(store, ident).state == "delivered"

    def test_what_arrives_after_all_is_delivered(self, store: Store, one: Subscription) -> None:
        """Though another process has given it up meanwhile."""
        (ident,) = write(store, [made(one, 1)])
        take(store, one, by="a", seconds=5)
        take(store, one, by="b", at=now() + 6 * SECOND)
        settle(store, ident, ok=False, by="b")
        assert deliveries.get(store, ident).state == "failed"
        settle(store, ident, ok=True, by="a")
        kept = deliveries.get(store, ident)
        assert (kept.state, kept.error, kept.status) == ("delivered", None, 204)

    def test_given_back_and_held_on_to(self, store: Store, one: Subscription) -> None:
        ids = write(store, [made(one, number) for number in range(3)])
        take(store, one, by="a")
        at = now()
        with transaction(store) as conn:
            assert delivery_work.release(conn, "b", at) == 0
            assert not delivery_work.renew(conn, ids, Lease("a", at, at + 900 * SECOND))
            assert delivery_work.release(conn, "a", at, ids[:1]) == 1
            assert (delivery_work.next_due(conn, one.id) or 0) <= now()
        assert [each.id for each in take(store, one, by="b", at=at + 600 * SECOND)] == ids[:1]
        with transaction(store) as conn:
            assert delivery_work.release(conn, "a", at) == 2

    def test_what_is_given_back_keeps_its_place(self, store: Store, one: Subscription) -> None:
        ids = write(store, [made(one, 1), made(one, 2)])
        take(store, one)
        ids += write(store, [made(one, 3)])
        with transaction(store) as conn:
            assert delivery_work.release(conn, "a", now()) == 2
        assert [each.id for each in take(store, one)] == ids

    def test_what_is_lost_meanwhile_is_told(self, store: Store, one: Subscription) -> None:
        """To who would hold on to it: what another has taken over, or waits no more."""
        ids = write(store, [made(one, number) for number in range(4)])
        take(store, one, by="a", seconds=1)
        settle(store, ids[3], by="a")
        assert [each.id for each in take(store, one, 1, by="b", at=now() + 5 * SECOND)] == ids[:1]
        with transaction(store) as conn:
            delivery_work.drop(conn, ids[1:2], "retracted")
            at = now()
            lost = delivery_work.renew(conn, ids, Lease("a", at, at + 900 * SECOND))
        assert lost == {ids[0], ids[1], ids[3]}

    def test_what_was_taken_once_may_have_been_heard_of(self, store: Store, one: Subscription) -> None:
        """Whoever took it may have died between sending it and saying so."""
        ids = write(store, [made(one, 1), made(one, 2)])
        take(store, one, 1, by="a")
        with transaction(store) as conn:
            assert delivery_work.release(conn, "a", now()) == 1
            known = delivery_intake.told(conn, ["ztf:00001", "ztf:00002"])
        untouched = {told.id: told.untouched for some in known.values() for told in some}
        assert untouched == {ids[0]: False, ids[1]: True}

    def test_one_test_at_a_time(self, store: Store, one: Subscription) -> None:
        """Tests wait for nothing: any number of them would go to wherever a subscription points."""
        under_way = deliveries.add_test(store, one.id, by="a", seconds=60)
        with pytest.raises(ConflictError, match="under way"):
            deliveries.add_test(store, one.id, by="b", seconds=60)
        deliveries.add_test(store, subscribe(store).id, by="b", seconds=60)
        settle(store, under_way.id, by="a")
        again = deliveries.add_test(store, one.id, by="b", seconds=0)
        assert deliveries.add_test(store, one.id, by="c", seconds=60).id != again.id  # whose sender died
        with pytest.raises(ConflictError, match="under way"):
            deliveries.add_test(store, one.id, alone=True)

    def test_tests_alone(self, store: Store, one: Subscription) -> None:
        write(store, [made(one, 1)])
        test = deliveries.add_test(store, one.id)
        with transaction(store) as conn:
            found = delivery_work.take(conn, one.id, 9, Lease("a", now(), now() + SECOND), tests=True)
        assert [each.id for each in found] == [test.id]

    def test_starts_count_messages_whoever_sent_them(self, store: Store, one: Subscription) -> None:
        write(store, [made(one, number) for number in range(6)])
        deliveries.add_test(store, one.id)
        begun = now()
        take(store, one, 2, by="a")
        take(store, one, by="b")
        with transaction(store) as conn:
            assert len(delivery_work.starts(conn, one.id, begun - 1)) == 6
            assert delivery_work.starts(conn, one.id, now() + SECOND) == []

    def test_digests_stay_together(self, store: Store, one: Subscription) -> None:
        write(store, [made(one, number) for number in range(5)])
        with transaction(store) as conn:
            ((ident, some),) = delivery_work.take_digests(conn, one.id, 4, 100, Lease("a", now(), now() + 60 * SECOND))
            assert delivery_work.take_digests(conn, one.id, 4, 100, Lease("b", now(), now() + SECOND)) == []
            assert len(delivery_work.starts(conn, one.id, 0)) == 1
        assert len(some) == 5
        for each in some:
            settle(store, each.id, ok=False, due=now() - 1, digest=ident)
        write(store, [made(one, number) for number in range(10, 13)])
        deliveries.replay(store, _dead(store, one))
        with transaction(store) as conn:
            lease = Lease("a", now(), now() + 60 * SECOND)
            found = dict(delivery_work.take_digests(conn, one.id, 2, 100, lease))
            assert delivery_work.take_digests(conn, one.id, 2, 100, lease) == []
        assert {each.id for each in found.pop(ident)} == {each.id for each in some}
        (rest,) = found.values()
        assert len(rest) == 4

    def test_a_digest_goes_again_as_it_was(self, store: Store, one: Subscription) -> None:
        """Though another, with an earlier word on one of its matches, waits for its next try."""
        at = now()
        rows = [made(one, 1), made(one, 1, change="update", event="S1", revision=1, created=at + SECOND), made(one, 2)]
        ids = write(store, rows)
        with transaction(store) as conn:
            row = tables.deliveries.c
            conn.execute(update(tables.deliveries).where(row.id == ids[0]).values(digest="dlv_1", due=at + 3600 * SECOND))
            conn.execute(update(tables.deliveries).where(row.id.in_(ids[1:])).values(digest="dlv_2"))
            ((ident, some),) = delivery_work.take_digests(conn, one.id, 4, 100, Lease("a", now(), now() + SECOND))
        assert (ident, {each.id for each in some}) == ("dlv_2", set(ids[1:]))

    def test_a_digest_that_another_is_taking_uses_nothing_up(self, store: Store, one: Subscription) -> None:
        if store.dialect == "sqlite":
            pytest.skip("one writes at a time")
        ids = write(store, [made(one, 1), made(one, 2)])
        row = tables.deliveries.c
        with transaction(store) as conn:
            conn.execute(update(tables.deliveries).where(row.id == ids[0]).values(digest="dlv_1"))
        with transaction(store) as other, transaction(store) as conn:
            other.execute(select(row.id).where(row.id == ids[0]).with_for_update())
            found = delivery_work.take_digests(conn, one.id, 1, 100, Lease("a", now(), now() + SECOND))
        assert [[each.id for each in some] for _, some in found] == [ids[1:]]

    def test_digests_have_their_bounds(self, store: Store, one: Subscription) -> None:
        write(store, [made(one, number) for number in range(25)])
        with transaction(store) as conn:
            found = delivery_work.take_digests(conn, one.id, 2, 10, Lease("a", now(), now() + SECOND))
        assert [len(some) for _, some in found] == [10, 10]


class TestOrder:
    """A later word on an alert waits until nobody has an earlier one on its way."""

    def words(self, one: Subscription) -> list[Made]:
        start = now()
        words = [("match", None), ("update", 1), ("retraction", 2)]
        return [
            made(one, 1, change=change, event=revision and "S1", revision=revision, created=start + number, due=start)
            for number, (change, revision) in enumerate(words)
        ]

    def test_behind_what_is_under_way_or_to_be_tried_again(self, store: Store, one: Subscription) -> None:
        other = subscribe(store)
        match, update, retraction = write(store, self.words(one))
        free = write(store, [made(one, 2, change="retraction"), made(other, 1, change="update")])
        assert {each.id for each in take(store, one)} == {match, free[0]}
        assert {each.id for each in take(store, other)} == {free[1]}
        assert take(store, one) == []
        later = now() + 60 * SECOND
        settle(store, match, ok=False, due=later)
        assert take(store, one) == []  # though what was behind it is due
        assert [each.id for each in take(store, one, at=later + SECOND)] == [free[0], match]
        settle(store, match)
        assert [each.id for each in take(store, one)] == [update]
        settle(store, update, ok=False, due=None)  # given up
        assert [each.id for each in take(store, one)] == [retraction]

    def test_what_some_addresses_have_holds_nothing_back_unless_in_hand(self, store: Store, one: Subscription) -> None:
        match, update, retraction = write(store, self.words(one))
        take(store, one)
        later = now() + 60 * SECOND
        settle(store, match, ok=False, due=later, told="a")
        assert [each.id for each in take(store, one)] == [update]
        settle(store, update)
        assert [each.id for each in take(store, one, 1, at=later + SECOND)] == [retraction]  # has waited longer
        settle(store, retraction, ok=False, due=later + 2 * SECOND)
        assert [each.id for each in take(store, one, at=later + SECOND)] == [match]
        assert take(store, one, at=later + 3 * SECOND) == []
        settle(store, match, ok=False, due=later + 90 * SECOND)
        assert [each.id for each in take(store, one, at=later + 3 * SECOND)] == [retraction]

    def test_filters_go_by_themselves(self, store: Store, one: Subscription) -> None:
        """What one filter said of an alert is no earlier word of another's."""
        match, _, _ = write(store, self.words(one))
        (other,) = write(store, [made(one, 1, filter="young", change="update", created=now() + SECOND)])
        assert {each.id for each in take(store, one)} == {match, other}

    def test_a_match_made_again_comes_after_its_retraction(self, store: Store, one: Subscription) -> None:
        start = now()
        words = [("retraction", 2), ("match", 3)]
        gone, again = write(
            store,
            [
                made(one, 1, change=change, event="S1", revision=revision, created=start + revision, due=start)
                for change, revision in words
            ],
        )
        assert [each.id for each in take(store, one)] == [gone]
        settle(store, gone)
        assert [each.id for each in take(store, one)] == [again]

    def test_behind_what_was_cancelled_on_its_way(self, store: Store, one: Subscription) -> None:
        first, second, third = (self.words(one)[0], made(one, 2), made(one, 3))
        ids = write(store, [first, second, third])
        assert len(take(store, one)) == 3
        with transaction(store) as conn:
            for told in delivery_intake.told(conn, ["ztf:00001", "ztf:00002", "ztf:00003"]).values():
                delivery_intake.cancel(conn, told, "retracted")
        last = [made(one, number, change="retraction", created=now() + SECOND) for number in (1, 2, 3)]
        gone = write(store, last)
        assert take(store, one) == []
        settle(store, ids[0], ok=False, due=now())
        assert [each.id for each in take(store, one)] == [gone[0]]
        settle(store, ids[1])
        assert [each.id for each in take(store, one)] == [gone[1]]
        later = now() + 20 * SECOND
        with transaction(store) as conn:
            lease = Lease("a", later, later + 30 * SECOND)
            assert delivery_work.renew(conn, ids, lease) == frozenset(ids)
        assert gone[2] not in {each.id for each in take(store, one, at=later + 20 * SECOND)}  # it takes its time
        with transaction(store) as conn:
            delivery_work.release(conn, "a", later, [ids[2]])
        assert gone[2] in {each.id for each in take(store, one, at=later + 20 * SECOND)}

    def test_in_one_digest_in_order_and_not_in_two_at_once(self, store: Store, one: Subscription) -> None:
        rows = self.words(one)[:2]
        write(store, rows)
        for most, counts in ((10, [2]), (1, [1])):
            at = now()
            with transaction(store) as conn:
                found = delivery_work.take_digests(conn, one.id, 4, most, Lease("a", at, at + 30 * SECOND))
            assert [len(some) for _, some in found] == counts
            assert [each.change for _, some in found for each in some] == ["match", "update"][: counts[0]]
            if most == 10:
                with transaction(store) as conn:
                    delivery_work.release(conn, "a", at)
                    conn.execute(update(tables.deliveries).values(digest=None))

    def test_a_look_tells_what_waits_from_what_others_are_taking(self, store: Store, one: Subscription) -> None:
        write(store, self.words(one))
        lease = Lease("a", now(), now() + 30 * SECOND)
        with connection(store) as conn:
            assert delivery_due.ready(conn, one.id, lease)
        take(store, one)
        with connection(store) as conn:
            assert not delivery_due.ready(conn, one.id, lease)
            assert (delivery_work.next_due(conn, one.id) or 0) <= lease.now

    def test_only_the_alert_is_gone_through(self, store: Store, one: Subscription) -> None:
        """And not all of the subscription."""
        lease, sqlite = Lease("a", now(), now()), store.dialect == "sqlite"
        asked = delivery_due.due(one.id, lease).compile(store.engine, compile_kwargs={"literal_binds": True})
        if not sqlite:  # it goes by its statistics
            write(store, [made(one, number, state=("delivered", "pending")[number % 50 == 0]) for number in range(5000)])
        with transaction(store) as conn:
            if not sqlite:
                conn.exec_driver_sql("ANALYZE deliveries")
            rows = conn.exec_driver_sql(f"EXPLAIN {'QUERY PLAN' if sqlite else ''} {asked}")
            plan = [str(row[-1]) for row in rows]
        assert any("ix_deliveries_alert_id" in line for line in plan), plan
        assert any("ix_deliveries_due" in line for line in plan), plan
        (look,) = [line for line in plan if "alert_id =" in line or "alert_id=?" in line]
        assert "AND (subscription =" in look or "AND subscription=?" in look  # of others, who are told alike, none are read


def _dead(store: Store, one: Subscription) -> str:
    (ident,) = write(store, [made(one, 77, state="failed")])
    return ident


class TestSettled:
    def test_tries_are_counted(self, store: Store, one: Subscription) -> None:
        (ident,) = write(store, [made(one, 1)])
        for number in range(3):
            take(store, one)
            settle(store, ident, ok=False, due=now() - 1)
            kept = deliveries.get(store, ident)
            assert (kept.state, kept.attempts, kept.status, kept.error, kept.lease_by) == (
                "pending",
                number + 1,
                500,
                "500",
                None,
            )
        begun = kept.begun
        take(store, one)
        settle(store, ident, ok=False, due=None, error="a\0b")
        kept = deliveries.get(store, ident)
        assert (kept.state, kept.attempts, kept.error, kept.begun) == ("failed", 4, "ab", begun)
        assert take(store, one) == []

    def test_who_has_it_of_several_is_kept_until_all_have_it(self, store: Store, one: Subscription) -> None:
        (ident,) = write(store, [made(one, 1)])
        for told, kept in (("a", "a"), (None, "a"), ("a b", "a b")):
            take(store, one)
            settle(store, ident, ok=False, due=now() - 1, told=told)
            assert deliveries.get(store, ident).told == kept
        take(store, one)
        settle(store, ident, ok=False, due=None)
        assert told_of([deliveries.replay(store, ident)]) == {"a", "b"}
        take(store, one)
        settle(store, ident, ok=True)
        assert deliveries.get(store, ident).told is None
        assert told_of([deliveries.replay(store, ident)]) == frozenset()

    def test_cancelled_on_its_way(self, store: Store, one: Subscription) -> None:
        ids = write(store, [made(one, 1), made(one, 2)])
        take(store, one)
        subscriptions.remove(store, one.id)
        settle(store, ids[0], ok=True)
        settle(store, ids[1], ok=False, due=now())
        assert [deliveries.get(store, ident).state for ident in ids] == ["delivered", "cancelled"]

    def test_latency_is_of_alerts(self, store: Store, one: Subscription) -> None:
        assert deliveries.latency(store, one.id).count == 0
        waits = np.arange(1, 41) / 10
        at = now()
        ids = write(store, [made(one, number, received=at - round(wait * SECOND)) for number, wait in enumerate(waits)])
        take(store, one)
        for ident in ids:
            settle(store, ident, done=at)
        settle(store, deliveries.add_test(store, one.id).id, done=at + 3600 * SECOND)
        told = deliveries.latency(store, one.id)
        assert told.count == 40
        assert told.p50 == pytest.approx(np.percentile(waits, 50))
        assert told.p99 == pytest.approx(np.percentile(waits, 99))
        deliveries.replay(store, ids[0])  # what is sent again does not count from then on
        take(store, one)
        settle(store, ids[0], done=at + 7200 * SECOND)
        assert deliveries.latency(store, one.id) == told

    def test_given_up_unsent(self, store: Store, one: Subscription) -> None:
        at = now()
        old = write(store, [made(one, number, due=at - 100 * SECOND, created=at - 100 * SECOND) for number in range(3)])
        write(store, [made(one, 9)])
        take(store, one, 1)
        with transaction(store) as conn:
            assert delivery_work.give_up(conn, one.id, at - 50 * SECOND, "dead") == 2
        assert sorted(deliveries.get(store, ident).state for ident in old) == ["failed", "failed", "pending"]

    def test_dropped(self, store: Store, one: Subscription) -> None:
        ids = write(store, [made(one, 1), made(one, 2)])
        with transaction(store) as conn:
            delivery_work.drop(conn, ids[:1], "not to be seen")
        assert deliveries.get(store, ids[0]).error == "not to be seen"
        assert deliveries.counts(store) == {one.id: {"cancelled": 1, "pending": 1}}


class TestTrouble:
    def test_is_what_the_last_try_came_to(self, store: Store, one: Subscription) -> None:
        first, second = write(store, [made(one, 1), made(one, 2)])
        assert deliveries.trouble(store, one.id) is None
        take(store, one)
        settle(store, first, ok=False, due=now() + 3600 * SECOND, error="answered 500")
        assert deliveries.trouble(store, one.id) == "answered 500"
        settle(store, second)
        assert deliveries.trouble(store, one.id) is None
        assert deliveries.trouble(store, "sub_of_nobody") is None


class TestReplay:
    @pytest.mark.parametrize("state", ["failed", "delivered", "cancelled"])
    def test_sends_again_under_the_same_id(self, store: Store, one: Subscription, state: str) -> None:
        (ident,) = write(store, [made(one, 1, state=state)])
        before = deliveries.signs(store)
        assert take(store, one) == []
        again = deliveries.replay(store, ident)
        assert (again.id, again.state, again.attempts, again.begun, again.error) == (ident, "pending", 0, None, None)
        assert deliveries.signs(store).by_hand > before.by_hand
        assert [each.id for each in take(store, one)] == [ident]

    @pytest.mark.parametrize(("later", "says"), [(-60, "waiting already: it goes as soon as"), (60, "is tried next at 2")])
    def test_when_what_waits_goes(self, store: Store, one: Subscription, later: int, says: str) -> None:
        (ident,) = write(store, [made(one, 1, due=now() + later * 1_000_000)])
        with pytest.raises(ConflictError, match=says):
            deliveries.replay(store, ident)

    @pytest.mark.parametrize(("state", "says"), [("pending", "waiting already"), ("skipped", "only the first")])
    def test_not_what_waits_or_was_never_to_be_told(self, store: Store, one: Subscription, state: str, says: str) -> None:
        (ident,) = write(store, [made(one, 1, state=state)])
        with pytest.raises(ConflictError, match=says):
            deliveries.replay(store, ident)

    def test_not_for_nobody(self, store: Store, one: Subscription) -> None:
        (ident,) = write(store, [made(one, 1, state="failed")])
        subscriptions.remove(store, one.id)
        with pytest.raises(ConflictError, match="removed"):
            deliveries.replay(store, ident)
        with pytest.raises(ConflictError, match="to test"):
            deliveries.add_test(store, one.id)


class TestListed:
    def test_page_after_page(self, store: Store, one: Subscription) -> None:
        other = subscribe(store, owner="hypatia")
        at = now()
        ids = [
            *write(
                store,
                [made(one, number, created=at + number // 3, state=("failed", "pending")[number % 2]) for number in range(20)],
            ),
            *write(store, [made(other, number, created=at + number // 3) for number in range(10)]),
        ]

        def pages(**asked: Any) -> list[str]:
            found: list[str] = []
            after = None
            while True:
                page = deliveries.listing(store, limit=4, after=after, **asked)
                found += [each.id for each in page.items]
                after = page.next
                if after is None:
                    return found

        every = pages()
        assert sorted(every) == sorted(ids)
        kept = {ident: deliveries.get(store, ident) for ident in ids}
        assert every == sorted(ids, key=lambda ident: (kept[ident].created, ident), reverse=True)
        for state in ("failed", "pending", "delivered"):
            assert pages(state=state) == [ident for ident in every if kept[ident].state == state]
            assert pages(state=state, subscription=one.id) == [
                ident for ident in every if kept[ident].state == state and kept[ident].subscription == one.id
            ]
        assert pages(subscription=one.id) == [ident for ident in every if kept[ident].subscription == one.id]
        assert pages(owner="hypatia") == [ident for ident in every if kept[ident].subscription == other.id]
        assert pages(owner="hypatia", subscription=one.id) == []
        assert pages(owner="nobody") == []

    def test_odd_asks(self, store: Store) -> None:
        with pytest.raises(UsageError, match="there are pending"):
            deliveries.listing(store, state="lost")
        with pytest.raises(UsageError, match="cursor"):
            deliveries.listing(store, after="nonsense")

    def test_of_an_alert(self, store: Store, one: Subscription) -> None:
        write(
            store, [made(one, 1), made(one, 2), made(one, 1, change="update", event="S1", revision=2, created=now() + SECOND)]
        )
        assert [each.change for each in deliveries.of_alert(store, "ztf:00001")] == ["match", "update"]


def test_old_ones_are_forgotten_but_for_those_that_wait(store: Store, one: Subscription) -> None:
    at = now()
    states = ("pending", "failed", "delivered")
    write(store, [made(one, number, created=at - 100 * SECOND, state=states[number % 3]) for number in range(9)])
    write(store, [made(one, number, created=at, state="failed") for number in range(9, 12)])
    assert delivery_work.forget(store, at - 50 * SECOND) == 6
    assert deliveries.counts(store) == {one.id: {"pending": 3, "failed": 3}}


def test_removed_subscriptions_are_forgotten_with_the_last_of_theirs(store: Store, one: Subscription) -> None:
    at = now()
    empty, fresh = subscribe(store), subscribe(store)
    write(store, [made(one, 1, created=at - 100 * SECOND, state="failed"), made(one, 2, state="failed")])
    for gone in (one, empty):
        subscriptions.remove(store, gone.id)

    def there() -> set[str]:
        return {each.id for each in subscriptions.listing(store, removed=True)}

    assert delivery_work.forget(store, at - 50 * SECOND) == 1
    assert there() == {one.id, empty.id, fresh.id}  # removed only now
    assert delivery_work.forget(store, now() + 10 * SECOND) == 1
    assert there() == {fresh.id}


def test_a_page_reads_no_bodies_but_its_own(store: Store) -> None:
    """However many subscriptions an account has, or had."""
    mine = [subscribe(store, owner="hypatia") for _ in range(8)]
    ids = [ident for number, one in enumerate(mine) for ident in write(store, [made(one, 10 * number + n) for n in range(9)])]
    read: list[str] = []

    def seen(_conn: object, _cursor: object, statement: str, *_: object) -> None:
        read.append(statement)

    event.listen(store.engine, "before_cursor_execute", seen)
    try:
        page = deliveries.listing(store, owner="hypatia", limit=7)
    finally:
        event.remove(store.engine, "before_cursor_execute", seen)
    assert len([statement for statement in read if "deliveries.body" in statement]) == 1
    assert {each.id for each in page.items} <= set(ids)
    assert (len(page.items), page.next is None) == (7, False)


def test_what_waits_for_too_long_is_given_up(store: Store, one: Subscription) -> None:
    """In parts; not what somebody has in hand, is to be tried yet, or was put there again by hand."""
    at = now()
    old = {"created": at - 100 * SECOND, "due": at - 100 * SECOND}
    late = write(store, [made(one, number, **old) for number in range(2100)])
    kept = write(store, [made(one, 5001, **old), made(one, 5002, **old | {"due": at + 60 * SECOND}), made(one, 5003)])
    kept += write(store, [made(one, 5004, **old, state="failed")])
    deliveries.replay(store, kept[-1])
    with transaction(store) as conn:
        conn.execute(update(tables.deliveries).where(tables.deliveries.c.id == kept[0]).values(lease_by="a"))
    assert delivery_work.expire(store, at - 50 * SECOND, "too late") == len(late)
    assert deliveries.counts(store) == {one.id: {"failed": len(late), "pending": len(kept)}}
    assert (deliveries.get(store, late[0]).state, deliveries.get(store, late[0]).error) == ("failed", "too late")


def test_how_many_wait(store: Store, one: Subscription) -> None:
    write(store, [made(one, number, state=("pending", "failed")[number % 2]) for number in range(10)])
    with transaction(store) as conn:
        assert [delivery_intake.waiting(conn, one.id, most) for most in (3, 5, 9)] == [3, 5, 5]


def test_names_of_the_past_are_kept_as_one(store: Store, one: Subscription) -> None:
    """A container has another name each time it starts."""
    for number in range(5):
        with transaction(store) as conn:
            delivery_intake.write(conn, [made(one, number)], f"host-{number}-0")
    before = deliveries.signs(store, "host-4-0").others
    for _ in range(2):
        with transaction(store) as conn:
            deliveries.fold(conn)
        with connection(store) as conn:
            names = conn.execute(
                select(tables.counters.c.name).where(tables.counters.c.name.startswith("deliveries"))
            ).scalars()
            assert len(names.all()) == 1
    after = deliveries.signs(store, "host-4-0").others
    assert after > before
    with transaction(store) as conn:
        delivery_intake.write(conn, [made(one, 9)], "host-9-0")
    assert deliveries.signs(store, "host-4-0").others > after
    assert deliveries.signs(store, "host-9-0").others == after


def test_when_to_look_for_what_waits(store: Store, one: Subscription) -> None:
    others = [subscribe(store) for _ in range(3)]
    write(store, [made(one, number, due=1000 - number) for number in range(5)])
    write(store, [made(others[0], 1, state="delivered"), made(others[1], 1, due=5), made(others[2], 1, due=7)])
    subscriptions.remove(store, others[1].id)
    with connection(store) as conn:
        assert delivery_due.earliest(conn) == {one.id: 996, others[2].id: 7}


def test_signs_of_others(store: Store, one: Subscription) -> None:
    before = deliveries.signs(store, "a")
    with transaction(store) as conn:
        delivery_intake.write(conn, [made(one, 1)], "a")
    assert deliveries.signs(store, "a") == before
    assert deliveries.signs(store, "b").others > before.others


class TestChanges:
    def test_going_on_does_not_count_the_pause(self, store: Store, one: Subscription) -> None:
        at = now()
        (ident,) = write(store, [made(one, 1, due=at - 3600 * SECOND)])
        take(store, one)
        settle(store, ident, ok=False, due=at - 60 * SECOND)
        subscriptions.change(store, one.id, state="paused")
        assert deliveries.get(store, ident).begun is not None
        subscriptions.change(store, one.id, state="active")
        kept = deliveries.get(store, ident)
        assert kept.begun is None
        assert kept.due.timestamp() * SECOND >= at

    def test_some_at_a_time(self, store: Store, one: Subscription, monkeypatch: pytest.MonkeyPatch) -> None:
        """Others wait for the database no longer than for a few."""
        monkeypatch.setattr(subscriptions, "_AT_ONCE", 3)
        monkeypatch.setattr(delivery_work, "_FORGET_AT_ONCE", 3)
        most: list[int] = []

        def seen(_conn: object, cursor: Any, statement: str, *_: object) -> None:
            if statement.startswith("UPDATE deliveries"):
                most.append(cursor.rowcount)

        at = now()
        ids = write(store, [made(one, number, created=at - 7200 * SECOND, due=at - 3600 * SECOND) for number in range(10)])
        with transaction(store) as conn:
            conn.execute(update(tables.deliveries).values(begun=at - 3600 * SECOND))
        subscriptions.change(store, one.id, state="paused")
        event.listen(store.engine, "after_cursor_execute", seen)
        try:
            subscriptions.change(store, one.id, state="active")
            assert {deliveries.get(store, ident).begun for ident in ids} == {None}
            assert all(deliveries.get(store, ident).due.timestamp() * SECOND >= at for ident in ids)
            with transaction(store) as conn:
                conn.execute(
                    update(tables.deliveries).where(tables.deliveries.c.id.in_(ids[:3])).values(due=at + 3600 * SECOND)
                )
            subscriptions.change(store, one.id, digest=None)
            assert len(take(store, one, limit=2)) == 2
            with transaction(store) as conn:
                given = [delivery_work.give_up(conn, one.id, now() + SECOND, "late") for _ in range(2)]
            subscriptions.remove(store, one.id)
        finally:
            event.remove(store.engine, "after_cursor_execute", seen)
        assert given == [3, 3]
        assert deliveries.counts(store, one.id) == {one.id: {"failed": 6, "cancelled": 4}}
        assert max(most) == 3

    def test_other_hours_hold_for_what_waits(self, store: Store, one: Subscription) -> None:
        (ident,) = write(store, [made(one, 1, due=now() + 3600 * SECOND)])
        assert take(store, one) == []
        subscriptions.change(store, one.id, digest=None)
        assert [each.id for each in take(store, one)] == [ident]
