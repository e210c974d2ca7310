"""Deliveries over HTTP: found page by page, read, and sent again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from broker.api.policy import Auth
from broker.store import delivery_intake
from broker.store.delivery import SKIPPED
from broker.store.engine import transaction
from broker.wiring import serving
from broker.wiring.parts import Parts
from tests.api.people import asked
from tests.api.subscribed import filter_named, now, parts_in, pending, settled, webhook

API = "/api/v1"


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    with parts_in(tmp_path_factory.mktemp("deliveries")) as made:
        yield made


@pytest.fixture(scope="module")
def client(parts: Parts) -> Iterator[httpx.Client]:
    with asked(serving.services(parts), Auth()) as made:
        filter_named(made, "bright")
        yield made


@pytest.fixture
def ident(client: httpx.Client) -> str:
    answer = client.post(f"{API}/subscriptions", json=webhook("bright"))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def found(client: httpx.Client, query: str) -> list[dict[str, Any]]:
    """All pages, each asked for by the address that the one before gives."""
    path: str | None = f"{API}/deliveries?{query}"
    items: list[dict[str, Any]] = []
    while path is not None:
        answer = client.get(path)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["items"]) <= 2
        items += page["items"]
        path = page["next"]
    return items


def test_page_by_page_by_state_and_subscription(client: httpx.Client, parts: Parts, ident: str) -> None:
    other = client.post(f"{API}/subscriptions", json=webhook("bright")).json()["id"]
    idents = pending(parts.store, ident, *(f"ztf:{number}" for number in range(7)))
    theirs = pending(parts.store, other, "ztf:1", "ztf:2")
    settled(parts.store, ident, idents[:3], ok=False)
    settled(parts.store, ident, idents[3:4], ok=True)
    assert [one["id"] for one in found(client, f"subscription={ident}&limit=2")] == idents[::-1]
    assert [one["id"] for one in found(client, f"subscription={ident}&state=failed&limit=2")] == idents[2::-1]
    assert [one["id"] for one in found(client, f"subscription={ident}&state=pending&limit=2")] == idents[:3:-1]
    assert {one["id"] for one in found(client, "limit=2")} >= {*idents, *theirs}
    assert set(theirs).isdisjoint(one["id"] for one in found(client, f"subscription={ident}&limit=2"))


def test_one_says_what_it_tells_and_what_went_wrong(client: httpx.Client, parts: Parts, ident: str) -> None:
    (one,) = pending(parts.store, ident, "ztf:10")
    settled(parts.store, ident, [one], ok=False)
    told = client.get(f"{API}/deliveries/{one}").json()
    assert told["data"] == {"filter": "bright", "alert": {"alert_id": "ztf:10"}}
    assert (told["state"], told["status"], told["attempts"]) == ("failed", 500, 1)
    assert told["error"].startswith("answered 500")
    assert told["received"].endswith("Z")
    assert told["acknowledged"] is None
    listed = client.get(f"{API}/deliveries?subscription={ident}").json()["items"]
    assert listed == [{name: value for name, value in told.items() if name != "data"}]


def test_what_failed_is_sent_again_under_its_id(client: httpx.Client, parts: Parts, ident: str) -> None:
    (one,) = pending(parts.store, ident, "ztf:20")
    waiting = client.post(f"{API}/deliveries/{one}/replay")
    assert waiting.status_code == 409
    assert "waiting already" in waiting.json()["detail"]
    settled(parts.store, ident, [one], ok=False)
    again = client.post(f"{API}/deliveries/{one}/replay")
    assert (again.status_code, again.json()["state"], again.json()["attempts"]) == (200, "pending", 0)
    settled(parts.store, ident, [one], ok=True)
    assert client.get(f"{API}/deliveries/{one}").json()["state"] == "delivered"
    assert client.post(f"{API}/deliveries/{one}/replay").json()["state"] == "pending"  # it got lost where it arrived


def test_what_was_skipped_stays_so(client: httpx.Client, parts: Parts, ident: str) -> None:
    at = now()
    row = delivery_intake.Made(ident, "bright", "1", "ztf:30", "o", "match", None, None, "", at, at, at, SKIPPED)
    with transaction(parts.store) as conn:
        delivery_intake.write(conn, [row], "tests")
    assert client.get(f"{API}/deliveries/{row.id}").json()["data"] is None
    assert client.post(f"{API}/deliveries/{row.id}/replay").status_code == 409


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("deliveries/dlv_0", 404),
        ("deliveries/%00", 400),
        ("deliveries?state=lost", 400),
        ("deliveries?limit=0", 400),
        ("deliveries?cursor=x", 400),
        ("deliveries?subscription=sub_0", 404),
        ("deliveries?subscription=%F0%9F%92%A9", 404),
    ],
)
def test_what_is_not_there(client: httpx.Client, path: str, status: int) -> None:
    assert client.get(f"{API}/{path}").status_code == status
