"""What is in hand of a subscription: nothing twice, and not what others have taken over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from broker.deliver.pace import Breaker
from broker.deliver.webhook import Webhooks
from broker.store import deliveries
from broker.wiring import subscribing
from broker.wiring.deliver_book import Book, Rights
from broker.wiring.deliver_channels import Channels
from broker.wiring.deliver_lane import AHEAD, Lane, Parcel
from broker.wiring.deliver_send import Senders
from broker.wiring.deliver_turn import Found
from broker.wiring.parts import Parts
from tests.deliver.servers import run
from tests.subscribers import SECRET, parts_with


def test_nothing_is_held_twice(tmp_path: Path) -> None:
    with parts_with(tmp_path / "data", "bright") as parts:
        values = {"filters": ["bright"], "channel": "webhook", "target": {"url": "http://127.0.0.1:9/"}, "secret": SECRET}
        made = [subscribing.add(parts, values).subscription for _ in range(5)]
        one, some = made[0], [deliveries.add_test(parts.store, each.id) for each in made]
    first, second, third = Parcel(some[0].id, some[:1]), Parcel("dlv_digest", some[1:4]), Parcel(some[4].id, some[4:])
    lane = Lane(one, Breaker(3, timedelta(seconds=1)), 8)
    lane.flying[first.id] = first
    lane.add([first, second])
    lane.add([second, third, first])
    assert list(lane.held) == [second, third]
    assert lane.lose(frozenset({some[0].id, some[2].id})) == [some[1].id, some[3].id]  # of the digest, to be given back
    assert list(lane.held) == [third]
    assert list(lane.flying.values()) == [first]


def test_what_is_lost_has_what_waited_for_it_looked_at(tmp_path: Path) -> None:
    """Whoever took it over does not tell us when it is through."""

    async def looks(parts: Parts) -> list[datetime]:
        senders = Senders(parts, Book(parts), Rights(parts), Channels(parts, Webhooks()), "tests")
        await senders._reread()
        later = datetime.now(UTC) + timedelta(hours=1)
        first, second = senders._lanes.values()
        first.behind, first.look, second.look = True, later, later
        senders._have(Found(lost=frozenset({"dlv_1"})), senders._lanes)
        return [first.look, second.look, later]

    with parts_with(tmp_path / "data", "bright") as parts:
        values = {"filters": ["bright"], "channel": "webhook", "target": {"url": "http://127.0.0.1:9/"}, "secret": SECRET}
        for _ in range(2):
            subscribing.add(parts, values)
        first, second, later = run(looks(parts))
    assert first < second == later


def test_digests_are_not_taken_ahead(tmp_path: Path) -> None:
    """Each has hundreds of deliveries with all that is said in them."""
    now = datetime.now(UTC)
    with parts_with(tmp_path / "data", "bright") as parts:
        values = {"filters": ["bright"], "channel": "webhook", "target": {"url": "http://127.0.0.1:9/"}, "secret": SECRET}
        some = [subscribing.add(parts, values | {"digest": digest}).subscription for digest in (None, 5)]
    lanes = [Lane(one, Breaker(3, timedelta(seconds=1)), 8, window=8, look=now) for one in some]
    wants = [lane.want(now) for lane in lanes]
    assert [want and want.most for want in wants] == [8 * AHEAD, 8]


def test_of_those_with_a_rate_none_is_taken_before_it_can_begin(tmp_path: Path) -> None:
    """It would count for the minute in which it is taken, and begin in another."""
    now = datetime.now(UTC)
    with parts_with(tmp_path / "data", "bright") as parts:
        values = {"filters": ["bright"], "channel": "webhook", "target": {"url": "http://127.0.0.1:9/"}, "secret": SECRET}
        one = subscribing.add(parts, values | {"rate": 60}).subscription
        some = [deliveries.add_test(parts.store, one.id) for _ in range(8)]
    lane = Lane(one, Breaker(3, timedelta(seconds=1)), 8, window=4, look=now)
    parcels = [Parcel(each.id, [each]) for each in some]
    asked = lane.want(now)
    assert asked is not None
    assert asked.most == 4
    lane.flying |= {each.id: each for each in parcels[:2]}
    lane.add(parcels[2:3])
    lane.look = now
    asked = lane.want(now)
    assert asked is not None
    assert asked.most == 1
    lane.add(parcels[3:4])
    lane.look = now
    assert lane.want(now) is None
    assert lane.look == now  # and is looked at again when one is through
