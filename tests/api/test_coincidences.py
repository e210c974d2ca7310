"""Coincidences over HTTP."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx
import pytest

from broker.store.coincidences import keep
from broker.store.engine import transaction
from broker.store.times import to_micros
from tests.api.world import NOW, World

API = "/api/v1"
ID = "S240422ed+GRB240422A"


@pytest.fixture(scope="module", autouse=True)
def kept(here: World) -> None:
    """One coincidence, of two revisions, and another that was retracted."""
    for number, overlap in enumerate((None, 12.5)):
        with transaction(here.store) as conn:
            found = {("S240422ed", "GRB240422A", "GRB240422A"): row("GRB240422A", overlap=overlap)}
            if number == 0:
                found["S240422ed", "GRB240422B", "GRB240422B"] = row("GRB240422B")
            keep(conn, found, ["S240422ed"], [f"gcn:{number}"], f"gcn:{number}")


def row(external: str, **more: Any) -> dict[str, Any]:
    at = to_micros(NOW)
    return {
        "state": "live",
        "real": True,
        "publishable": False,
        "event": "S240422ed",
        "external": external,
        "external_name": external,
        "dt": 2.0,
        "window": "grb_cbc",
        "window_from": -1.0,
        "window_to": 5.0,
        "event_kind": "gw",
        "event_messenger": "GW",
        "event_revision": 1,
        "event_time": at,
        "far_temporal": 1e-14,
        "external_kind": "grb",
        "external_messenger": "EM",
        "external_revision": 1,
        "external_time": at + 2_000_000,
        **more,
    }


def test_the_list(client: httpx.Client) -> None:
    items = client.get(f"{API}/coincidences").json()["items"]
    assert {(each["id"], each["revision"], each["state"]) for each in items} == {
        (ID, 2, "live"),
        ("S240422ed+GRB240422B", 2, "retracted"),
    }
    assert [each["id"] for each in client.get(f"{API}/coincidences?state=live").json()["items"]] == [ID]
    assert len(client.get(f"{API}/coincidences?event=grb240422a").json()["items"]) == 1
    assert client.get(f"{API}/coincidences?start=2030-01-01").json()["items"] == []
    assert client.get(f"{API}/coincidences?event=nobody").status_code == 404
    assert client.get(f"{API}/coincidences?state=new").status_code == 400


def test_the_list_in_pages(client: httpx.Client) -> None:
    first = client.get(f"{API}/coincidences?limit=1").json()
    second = client.get(first["next"]).json()
    assert len({each["id"] for each in first["items"] + second["items"]}) == 2
    assert second["next"] is None


def test_one_with_its_revisions(client: httpx.Client) -> None:
    found = client.get(f"{API}/coincidences/{quote(ID)}").json()
    assert (found["overlap"], found["event"]["name"], found["external"]["time"]) == (
        12.5,
        "S240422ed",
        "2024-04-22T21:35:15.000000Z",
    )
    assert [each["overlap"] for each in found["revisions"]] == [None, 12.5]
    assert client.get(f"{API}/coincidences/nothing").status_code == 404


def test_of_an_event(client: httpx.Client) -> None:
    found = client.get(f"{API}/events/s240422ED/coincidences").json()
    assert found["event"] == "S240422ed"
    assert [each["state"] for each in found["items"]] == ["live", "retracted"]
    assert client.get(f"{API}/events/nobody/coincidences").status_code == 404
