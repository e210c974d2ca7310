"""What is in hand of a subscription: nothing twice, and not what others have taken over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from broker.deliver.pace import Breaker
from broker.store import deliveries
from broker.wiring import subscribing
from broker.wiring.deliver_lane import AHEAD, Lane, Parcel
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
    lane.lose(frozenset({some[0].id, some[2].id}))
    assert list(lane.held) == [third]
    assert list(lane.flying.values()) == [first]


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
