"""Subscriptions on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import time
from pathlib import Path
from typing import Any

import pytest

from broker.errors import NotFoundError, StoreUnavailableError, UsageError
from broker.store import deliveries, subscriptions
from broker.store.engine import Store, close, open_store
from broker.store.migrate import migrate
from broker.store.subscription import Quiet, Subscription, quiet_of


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path}/n.db" if request.param == "sqlite" else request.getfixturevalue("fresh_postgres")
    opened = open_store(url, synchronous="off")
    migrate(opened)
    yield opened
    close(opened)


def make(store: Store, **more: Any) -> Subscription:
    values: dict[str, Any] = {
        "filters": ["bright"],
        "channel": "webhook",
        "target": {"url": "https://example.org"},
        "secret": "x",
    }
    return subscriptions.add(store, **values | more)


def test_what_is_kept_is_what_was_asked_for(store: Store) -> None:
    quiet = Quiet(time(22), time(7, 30), "Europe/Rome")
    made = make(
        store,
        filters=["b", "a", "b"],
        owner="hypatia",
        rate=7,
        quiet=quiet,
        digest=15,
        only_first=True,
        updates="none",
        note=" moon ",
    )
    assert subscriptions.get(store, made.id) == made
    assert made.id.startswith("sub_")
    assert len(made.id) == 16
    assert (made.filters, made.quiet, made.rate, made.digest, made.only_first) == (("b", "a"), quiet, 7, 15, True)
    assert (made.updates, made.note, made.owner, made.state) == ("none", "moon", "hypatia", "active")
    plain = make(store)
    assert (plain.quiet, plain.rate, plain.digest, plain.only_first, plain.updates) == (None, None, None, False, "all")
    assert [one.id for one in subscriptions.listing(store)] == [made.id, plain.id]
    assert subscriptions.listing(store, "hypatia") == [made]
    assert subscriptions.listing(store, "theon") == []


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"filters": []}, "1 to 100 filters"),
        ({"channel": "pigeon"}, "webhook, message, kafka"),
        ({"rate": 0}, "rate 0"),
        ({"digest": 2000}, "digest 2000"),
        ({"updates": "some"}, "all, retractions, none"),
        ({"quiet": Quiet(time(1), time(1))}, "end when they begin"),
        ({"quiet": Quiet(time(1), time(2), "Mars/Olympus")}, "Mars/Olympus"),
        ({"quiet": Quiet(time(1), time(2), "../etc/passwd")}, "is not known"),
        ({"note": "a\0b"}, "note"),
    ],
)
def test_what_cannot_be_is_refused(store: Store, wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        make(store, **wrong)
    assert subscriptions.listing(store) == []
    made = make(store)
    if "channel" not in wrong:
        with pytest.raises(UsageError, match=says):
            subscriptions.change(store, made.id, **wrong)
        assert subscriptions.get(store, made.id) == made


@pytest.mark.parametrize("text", ["22-7-1", "22:00", "25:00-07:00", "a-b", ""])
def test_odd_hours(text: str) -> None:
    with pytest.raises(UsageError, match="quiet hours"):
        quiet_of(text)


def test_changes_are_counted(store: Store) -> None:
    seen = [subscriptions.version(store)]
    made = make(store)
    seen.append(subscriptions.version(store))
    changed = subscriptions.change(store, made.id, state="paused", rate=3, filters=["c"], quiet=quiet_of("01:00-02:00"))
    seen.append(subscriptions.version(store))
    assert (changed.state, changed.rate, changed.filters) == ("paused", 3, ("c",))
    assert subscriptions.change(store, made.id, quiet=None, rate=None).quiet is None
    seen.append(subscriptions.version(store))
    subscriptions.remove(store, made.id)
    seen.append(subscriptions.version(store))
    assert seen == sorted(set(seen))
    for wrong in ({"id": "sub_1"}, {"channel": "kafka"}, {"state": "removed"}):
        with pytest.raises(UsageError):
            subscriptions.change(store, make(store).id, **wrong)


def test_removed_keeps_no_secrets(store: Store) -> None:
    made = make(store, channel="message", target={"urls": ["tgram://token/chat"]})
    waiting = deliveries.add_test(store, made.id)
    gone = subscriptions.remove(store, made.id)
    assert (gone.state, gone.secret, gone.target) == ("removed", "", {})
    assert deliveries.get(store, waiting.id).state == "cancelled"
    assert subscriptions.listing(store) == []
    assert subscriptions.listing(store, removed=True) == [gone]
    for again in (subscriptions.remove, subscriptions.change):
        with pytest.raises(NotFoundError, match="was removed"):
            again(store, made.id)


def test_a_removal_that_broke_off_is_finished_by_another(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make(store)
    waiting = deliveries.add_test(store, made.id)

    def away(*_: object) -> None:
        raise StoreUnavailableError("away")

    with monkeypatch.context() as patch:
        patch.setattr(subscriptions, "hold", away)
        with pytest.raises(StoreUnavailableError):
            subscriptions.remove(store, made.id)
    assert deliveries.get(store, waiting.id).state == "pending"
    with pytest.raises(NotFoundError, match="was removed"):
        subscriptions.remove(store, made.id)
    assert deliveries.get(store, waiting.id).state == "cancelled"


def test_removed_keeps_no_address(store: Store) -> None:
    """Those of chats have the token in them."""
    made = make(store, channel="webhook", target={"url": "https://chat.example.org/hooks/T0KEN", "format": "json"})
    assert "T0KEN" not in str(subscriptions.remove(store, made.id))


@pytest.mark.parametrize("odd", ["sub_1", "\0", "\udcff", ""])
def test_there_is_none(store: Store, odd: str) -> None:
    with pytest.raises(NotFoundError, match="no subscription"):
        subscriptions.get(store, odd)
    assert deliveries.listing(store, subscription=odd).items == []
    with pytest.raises(NotFoundError, match="no delivery"):
        deliveries.get(store, odd)
