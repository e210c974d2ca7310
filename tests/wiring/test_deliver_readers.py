"""Users of Kafka lose what the owners of their subscriptions may no longer see: on a real cluster, too."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from broker.errors import NotFoundError, UsageError
from broker.settings import AuthTable, Settings, load
from broker.store import filters, people, subscriptions
from broker.store.subscription import Subscription
from broker.stream.kafka_access import Access, Credentials
from broker.wiring import access, subscribing
from broker.wiring.deliver_book import Rights
from broker.wiring.deliver_readers import take_back, unseen
from broker.wiring.parts import Parts, open_parts
from tests.running import install
from tests.services import SaslKafka
from tests.subscribers import parts_with


def guarded(parts: Parts) -> Parts:
    for name in ("theon", "hypatia"):
        people.add(parts.store, name)
    return replace(parts, settings=parts.settings.model_copy(update={"auth": AuthTable(required=True)}))


def reader(parts: Parts, user: str, owner: str | None, *names: str) -> Subscription:
    return subscriptions.add(parts.store, filters=names, channel="kafka", target={"user": user}, owner=owner)


def hide(parts: Parts, name: str, owner: str) -> None:
    filters.share(parts.store, name, filters.Ownership(owner, None, "private"))


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    with parts_with(tmp_path / "data", "bright", "young") as opened:
        yield guarded(opened)


class TestWhatIsTaken:
    def test_of_a_filter_that_is_made_private(self, parts: Parts) -> None:
        reader(parts, "telescope", "hypatia", "bright", "young")
        assert unseen(parts, Rights(parts)) == {}
        hide(parts, "young", "theon")
        assert unseen(parts, Rights(parts)) == {"telescope": {"young"}}
        reader(parts, "telescope", "theon", "young")  # who may see it
        assert unseen(parts, Rights(parts)) == {}

    def test_all_of_who_is_disabled(self, parts: Parts) -> None:
        reader(parts, "telescope", "hypatia", "bright", "young")
        reader(parts, "other", "theon", "bright")
        reader(parts, "operators", None, "bright")
        people.set_disabled(parts.store, "hypatia", disabled=True)
        assert unseen(parts, Rights(parts)) == {"telescope": {"bright", "young"}}

    def test_nothing_where_there_are_no_accounts(self, parts: Parts) -> None:
        reader(parts, "telescope", "hypatia", "bright")
        hide(parts, "bright", "theon")
        everyone = replace(parts, settings=parts.settings.model_copy(update={"auth": AuthTable(required=False)}))
        assert unseen(everyone, Rights(everyone)) == {}

    def test_where_kafka_is_used_no_more(self, parts: Parts) -> None:
        """Subscriptions to it are left over, and can be removed."""
        one = reader(parts, "telescope", "hypatia", "bright")
        hide(parts, "bright", "theon")
        take_back(parts, Rights(parts))
        subscribing.remove(parts, one.id)
        assert subscriptions.listing(parts.store) == []


class TestHalfDone:
    """What Kafka was asked for is taken back where the subscription comes to nothing."""

    @pytest.fixture
    def granted(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
        """What users may read, in place of a cluster."""
        there: dict[str, set[str]] = {}

        def grant(_settings: Settings, user: str, names: Sequence[str]) -> Credentials:
            fresh = user not in there
            there.setdefault(user, set()).update(names)
            return Credentials(user, "secret" if fresh else None, "SCRAM-SHA-512")

        def revoke(_settings: Settings, user: str, names: Sequence[str] = ()) -> None:
            there[user] -= set(names)
            if not names:
                del there[user]

        def listing(_settings: Settings) -> list[Access]:
            return [Access(user, tuple(f"matched.{name}" for name in names), f"{user}-", True) for user, names in there.items()]

        for name, one in {"grant": grant, "revoke": revoke, "listing": listing, "cluster": lambda _settings: ("", {})}.items():
            monkeypatch.setattr(access, name, one)
        return there

    @pytest.mark.parametrize("before", [None, set(), {"young"}, {"bright"}])
    def test_one_that_cannot_be_made(self, parts: Parts, granted: dict[str, set[str]], before: set[str] | None) -> None:
        if before is not None:
            granted["telescope"] = set(before)
        values = {"filters": ["bright"], "channel": "kafka", "target": {"user": "telescope"}}
        with pytest.raises(UsageError, match="rate 0"):
            subscribing.add(parts, values | {"rate": 0})
        assert granted == ({} if before is None else {"telescope": before})
        made = subscribing.add(parts, values)
        assert made.password == ("secret" if before is None else None)
        assert granted == {"telescope": {"bright", *(before or ())}}

    def test_one_that_cannot_be_changed(self, parts: Parts, granted: dict[str, set[str]]) -> None:
        values = {"filters": ["bright"], "channel": "kafka", "target": {"user": "telescope"}}
        one = subscribing.add(parts, values).subscription
        with pytest.raises(UsageError, match="rate 0"):
            subscribing.change(parts, one.id, {"filters": ["bright", "young"], "rate": 0})
        with pytest.raises(UsageError, match="rate 0"):
            subscribing.change(parts, one.id, {"target": {"user": "other"}, "rate": 0})
        assert granted == {"telescope": {"bright"}}


@pytest.mark.kafka
def test_what_others_took_or_gave_is_left_alone(sasl_kafka: SaslKafka, tmp_path: Path) -> None:
    """Subscriptions of a user end in whatever state the operator has left the cluster."""
    nuncius = install(tmp_path / "data", kafka=sasl_kafka.servers, properties=sasl_kafka.properties)
    user = f"eve_{uuid.uuid4().hex[:8]}"

    def told(parts: Parts) -> tuple[set[str], bool] | None:
        listed = {one.user: (set(access.filters_of(one)), one.password) for one in access.listing(parts.settings)}
        return listed.get(user)

    with open_parts(load(nuncius.config), nuncius.data) as parts:
        first, second, third = sorted(filters.whose(parts.store))[:3]

        def subscribed(*names: str) -> str:
            return subscribing.add(parts, {"filters": names, "channel": "kafka", "target": {"user": user}}).subscription.id

        one, other = subscribed(first, second), subscribed(second)
        assert told(parts) == ({first, second}, True)
        access.revoke(parts.settings, user, [first])
        subscribing.remove(parts, one)  # which has nothing left to take
        assert told(parts) == ({second}, True)
        access.grant(parts.settings, user, [third])
        subscribing.change(parts, other, {"filters": [first]})
        assert told(parts) == ({first, third}, True)
        subscribing.remove(parts, other)
        assert told(parts) == ({third}, True)
        last = subscribed(third)
        subscribing.remove(parts, last)
        assert told(parts) is None
        again = subscribed(first)
        access.revoke(parts.settings, user)
        subscribing.remove(parts, again)
        assert told(parts) is None
        with pytest.raises(NotFoundError):
            subscribing.remove(parts, again)


@pytest.mark.kafka
def test_on_a_cluster(sasl_kafka: SaslKafka, tmp_path: Path) -> None:
    nuncius = install(tmp_path / "data", kafka=sasl_kafka.servers, properties=sasl_kafka.properties)
    user, others = f"ann_{uuid.uuid4().hex[:8]}", f"bob_{uuid.uuid4().hex[:8]}"

    def told(parts: Parts) -> dict[str, tuple[list[str], bool]]:
        listed = {one.user: (sorted(access.filters_of(one)), one.password) for one in access.listing(parts.settings)}
        return {name: listed[name] for name in (user, others)}

    with open_parts(load(nuncius.config), nuncius.data) as opened:
        parts = guarded(opened)
        mine, other, third = sorted(filters.whose(parts.store))[:3]
        for name in (user, others):
            access.grant(parts.settings, name, [mine, other, third])
        reader(parts, user, "hypatia", mine, other)
        reader(parts, others, "theon", mine, other)
        take_back(parts, Rights(parts))
        assert told(parts) == dict.fromkeys((user, others), (sorted([mine, other, third]), True))
        hide(parts, other, "theon")
        for _ in range(2):  # done again, it changes nothing
            take_back(parts, Rights(parts))
            # What the operator has given besides stays, and the password.
            assert told(parts) == {user: (sorted([mine, third]), True), others: (sorted([mine, other, third]), True)}
