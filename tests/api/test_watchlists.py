"""Watchlists and regions over HTTP: sent, changed, had again in every form, refused with a reason."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace

import httpx
import polars as pl
import pytest
from astropy.io.votable import parse
from mocpy import MOC

from broker.filtering.definition import parse_filter
from broker.science.moc import moc_of
from broker.science.skymap import from_cone
from tests.api.world import World, served

LISTS, REGIONS = "/api/v1/watchlists", "/api/v1/regions"
CSV = b"name,ra,dec,radius,mag\nSN2023ixf,210.9107,54.3117,5,15\nM31,10.6847,41.2687,,3\n"
FILTER = """
name = "watched"
version = 1
stream = "*"
description = "x"
where = "watchlist.used.inside OR moc.used"
"""


@pytest.fixture(scope="module")
def asking(here: World) -> Iterator[httpx.Client]:
    """A client of a service with a filter that asks for a list and a region."""
    services = replace(here.services, filters=lambda: (parse_filter(FILTER),))
    with served(services) as address, httpx.Client(base_url=address, timeout=20) as made:
        yield made


def test_the_life_of_a_watchlist(client: httpx.Client) -> None:
    asked = {"name": "sne", "radius": 3, "description": "mine", "visibility": "team", "team": "moon", "owner": "me"}
    made = client.post(LISTS, params=asked, files={"file": ("sne.csv", CSV)})
    assert made.status_code == 201, made.text
    shown = made.json()
    assert {name: shown[name] for name in ("name", "description", "visibility", "team", "owner")} == {
        name: asked[name] for name in ("name", "description", "visibility", "team", "owner")
    }
    assert (shown["newest"]["targets"], shown["newest"]["radius"], shown["ignored"]) == (2, 3.0, ["mag"])
    assert shown["repeated"] == 0
    assert client.post(LISTS, params=asked, content=CSV).status_code == 409

    put = client.put(f"{LISTS}/sne/targets/a%2Fb", json={"ra": 1.5, "dec": -2.5})
    assert (put.status_code, put.json()["newest"]["change"]) == (200, "target a/b put")
    assert client.delete(f"{LISTS}/sne/targets/M31").json()["newest"]["targets"] == 2
    assert client.patch(f"{LISTS}/sne", json={"radius": 4, "description": "ours"}).json()["description"] == "ours"
    found = client.get(f"{LISTS}/sne").json()
    assert [each["version"] for each in found["versions"]] == [4, 3, 2, 1]
    assert found["newest"] == found["versions"][0]
    assert "sne" in [each["name"] for each in client.get(LISTS).json()["items"]]

    replaced = client.put(f"{LISTS}/sne", content=CSV)
    assert (replaced.json()["newest"]["version"], replaced.json()["newest"]["radius"]) == (5, 4.0)
    assert client.delete(f"{LISTS}/sne").status_code == 204
    assert client.get(f"{LISTS}/sne").status_code == 404


def test_targets_in_every_form(client: httpx.Client) -> None:
    client.post(LISTS, params={"name": "forms"}, content=CSV)
    expected = [
        {"id": "SN2023ixf", "ra": 210.9107, "dec": 54.3117, "radius_arcsec": 5.0},
        {"id": "M31", "ra": 10.6847, "dec": 41.2687, "radius_arcsec": None},
    ]
    path = f"{LISTS}/forms/targets"
    assert client.get(path).json() == {"version": 1, "items": expected, "next": None}
    first = client.get(path, params={"limit": 1}).json()
    client.put(f"{path}/third", json={"ra": 1, "dec": 2})
    second = client.get(first["next"]).json()
    assert first["items"] + second["items"] == expected
    assert (second["version"], second["next"]) == (1, None)
    assert [row["id"] for row in client.get(path).json()["items"]] == ["SN2023ixf", "M31", "third"]
    of_first = {"version": 1}
    rows = list(csv.DictReader(io.StringIO(client.get(path, params=of_first | {"format": "csv"}).text)))
    assert rows[1] == {"id": "M31", "ra": "10.6847", "dec": "41.2687", "radius_arcsec": ""}
    frame = pl.read_parquet(io.BytesIO(client.get(path, params=of_first | {"format": "parquet"}).content))
    assert frame.to_dicts() == expected
    answer = client.get(path, params=of_first, headers={"Accept": "application/x-votable+xml"})
    table = parse(io.BytesIO(answer.content), verify="exception").get_first_table()
    assert [str(field.unit) for field in table.fields][1:] == ["deg", "deg", "arcsec"]
    again = client.post(LISTS, params={"name": "again"}, content=answer.content).json()
    assert again["newest"]["digest"] == client.get(f"{LISTS}/forms").json()["versions"][-1]["digest"]


@pytest.mark.parametrize(
    ("params", "body", "status", "word"),
    [
        ({"name": "x"}, b"ra,dec\n1,2\nnan,3\n", 400, "row 2, column 'ra' is nan"),
        ({"name": "X"}, CSV, 400, "lower-case letter"),
        ({"name": "x"}, b"", 400, "no body"),
        ({"name": "x", "radius": 0}, CSV, 400, "query.radius"),
        ({"name": "x", "visibility": "all"}, CSV, 400, "query.visibility"),
        ({}, CSV, 400, "query.name"),
        ({"name": "x"}, bytes(3_000_001), 413, "3,000,000"),
    ],
)
def test_wrong_lists(client: httpx.Client, params: dict[str, str], body: bytes, status: int, word: str) -> None:
    answer = client.post(LISTS, params=params, content=body)
    assert answer.status_code == status
    assert word in answer.json()["detail"]


def test_wrong_changes(client: httpx.Client) -> None:
    client.post(LISTS, params={"name": "one"}, content=b"id,ra,dec\na,1,2\n")
    path = f"{LISTS}/one"
    assert client.put(f"{path}/targets/b", json={"ra": 361, "dec": 0}).status_code == 400
    assert client.put(f"{path}/targets/%20", json={"ra": 1, "dec": 0}).status_code == 400
    assert client.put(f"{LISTS}/none/targets/b", json={"ra": 1, "dec": 0}).status_code == 404
    assert client.delete(f"{path}/targets/b").status_code == 404
    assert client.delete(f"{path}/targets/a").status_code == 400
    assert client.patch(path, json={"description": "\0"}).status_code == 400
    assert client.patch(path, content=b'{"owner": "\\ud800"}', headers={"content-type": "application/json"}).status_code == 400
    assert client.put(f"{LISTS}/none", content=CSV).status_code == 404
    assert client.get(f"{path}/targets", params={"version": 2}).status_code == 404
    assert client.get(f"{path}/targets", params={"cursor": "x"}).status_code == 400
    assert client.delete(f"{LISTS}/none").status_code == 404
    assert client.get(path).json()["newest"]["version"] == 1


def test_the_life_of_a_region(client: httpx.Client) -> None:
    region = MOC.from_string("3/5-7 9 5/1000")
    made = client.post(REGIONS, params={"name": "field"}, content=b"3/5-7 9 5/1000")
    assert (made.status_code, made.json()["newest"]["healpix_order"], made.json()["warning"]) == (201, 5, None)
    assert client.post(REGIONS, params={"name": "field"}, content=b"3/5").status_code == 409
    data = client.get(f"{REGIONS}/field/moc").content
    assert MOC.from_fits(io.BytesIO(data)) == region
    assert MOC.from_string(client.get(f"{REGIONS}/field/moc", params={"format": "ascii"}).text) == region
    whole = client.put(f"{REGIONS}/field", files={"file": ("x.json", json.dumps({"0": list(range(12))}).encode())}).json()
    assert (whole["newest"]["version"], whole["newest"]["fraction"]) == (2, 1.0)
    assert "whole sky" in whole["warning"]
    assert MOC.from_json(client.get(f"{REGIONS}/field/moc", params={"format": "json", "version": 1}).json()) == region
    assert [each["version"] for each in client.get(f"{REGIONS}/field").json()["versions"]] == [2, 1]
    assert client.put(f"{REGIONS}/field", content=b"3/").status_code == 400
    assert "empty" in client.post(REGIONS, params={"name": "none"}, content=b"3/").json()["detail"]
    assert "x.txt: no MOC" in client.post(REGIONS, params={"name": "n"}, files={"file": ("x.txt", b"hi")}).json()["detail"]
    assert client.post(REGIONS, params={"name": "none"}).status_code == 400
    assert client.put(f"{REGIONS}/none", content=b"3/5").status_code == 404
    assert client.delete(f"{REGIONS}/field").status_code == 204
    assert client.delete(f"{REGIONS}/field").status_code == 404


def test_a_region_of_an_event(client: httpx.Client) -> None:
    made = client.post(REGIONS, params={"name": "merger", "event": "s240422ED", "level": 0.5})
    assert made.status_code == 201, made.text
    assert (made.json()["newest"], made.json()["event_name"], made.json()["level"]) == (None, "s240422ED", 0.5)
    found = client.get(f"{REGIONS}/merger/moc", params={"format": "ascii"}).text
    assert MOC.from_string(found) == moc_of(from_cone(250.0, -20.0, 9.0), 0.5)
    assert client.put(f"{REGIONS}/merger", content=b"3/5").status_code == 400
    assert client.get(f"{REGIONS}/merger/moc", params={"version": 1}).status_code == 404
    assert client.post(REGIONS, params={"name": "other", "event": "nothing"}).status_code == 404
    client.post(REGIONS, params={"name": "burst", "event": "GRB240422A"})
    assert client.get(f"{REGIONS}/burst/moc").status_code == 404


def test_what_live_filters_ask_for_stays(asking: httpx.Client) -> None:
    for path, body in ((LISTS, CSV), (REGIONS, b"3/5")):
        assert asking.post(path, params={"name": "used"}, content=body).status_code == 201
        refused = asking.delete(f"{path}/used")
        assert (refused.status_code, "watched" in refused.json()["detail"]) == (409, True)
        assert asking.delete(f"{path}/used", params={"force": True}).status_code == 204
