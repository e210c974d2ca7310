"""The life of a filter over the API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from broker.errors import FilterError
from broker.filtering.definition import FilterSpec
from tests.api.world import served, world

TEXT = 'name = "mine"\nstream = "ztf"\ndescription = "Bright"\nwhere = "mag < {}"\n'


@pytest.fixture
def api(tmp_path: Path) -> Iterator[httpx.Client]:
    def refuse(spec: FilterSpec) -> None:
        if spec.where == "mag < 99":
            raise FilterError("it passes too much")

    with (
        world(tmp_path) as here,
        served(replace(here.services, gate=refuse)) as address,
        httpx.Client(base_url=address, timeout=20) as client,
    ):
        yield client


def test_from_draft_to_retired(api: httpx.Client) -> None:
    made = api.post("/api/v1/filters", json={"text": TEXT.format(18)})
    assert (made.status_code, made.json()["version"], made.json()["state"]) == (201, "1", "draft")
    assert "mine" not in [one["name"] for one in api.get("/api/v1/filters").json()["items"]]
    assert [one["name"] for one in api.get("/api/v1/filters?state=draft").json()["items"]] == ["mine"]
    moved = api.post("/api/v1/filters/mine/versions/1/state", json={"state": "tested"}).json()
    assert (moved["state"], moved["active"]) == ("tested", False)
    moved = api.post("/api/v1/filters/mine/versions/1/state", json={"state": "live"}).json()
    assert (moved["state"], moved["active"]) == ("live", True)
    assert "mine" in [one["name"] for one in api.get("/api/v1/filters").json()["items"]]
    edited = api.put("/api/v1/filters/mine", json={"text": TEXT.format(17), "base": 1})
    assert (edited.status_code, edited.json()["version"]) == (201, "2")
    assert api.get("/api/v1/filters/mine").json()["where"] == "mag < 18"
    assert api.post("/api/v1/filters/mine/versions/2/state", json={"state": "live"}).status_code == 200
    assert api.get("/api/v1/filters/mine").json()["where"] == "mag < 17"
    life = api.get("/api/v1/filters/mine/versions").json()
    assert [(one["version"], one["state"]) for one in life["items"]] == [("1", "retired"), ("2", "live")]
    assert [(one["version"], one["state"]) for one in life["history"]][-2:] == [(1, "retired"), (2, "live")]
    assert "mag < 18" in api.get("/api/v1/filters/mine/versions/1").json()["text"]
    assert api.post("/api/v1/filters/mine/versions/2/state", json={"state": "retired"}).json()["state"] == "retired"


def test_what_is_refused(api: httpx.Client) -> None:
    api.post("/api/v1/filters", json={"text": TEXT.format(18)})
    late = api.put("/api/v1/filters/mine", json={"text": TEXT.format(17), "base": 0})
    assert (late.status_code, late.headers["content-type"]) == (409, "application/problem+json")
    assert "version 1 came after version 0" in late.json()["detail"]
    assert api.put("/api/v1/filters/other", json={"text": TEXT.format(17), "base": 0}).status_code == 400
    wrong = api.post("/api/v1/filters", json={"text": TEXT.format("'x'")})
    assert (wrong.status_code, "line 4" in wrong.json()["detail"]) == (400, True)
    api.put("/api/v1/filters/mine", json={"text": TEXT.format(99), "base": 1})
    refused = api.post("/api/v1/filters/mine/versions/2/state", json={"state": "live"})
    assert (refused.status_code, refused.json()["detail"]) == (400, "it passes too much")
    assert api.post("/api/v1/filters/mine/versions/2/state", json={"state": "live", "force": True}).json()["state"] == "live"
    assert api.post("/api/v1/filters/mine/versions/7/state", json={"state": "live"}).status_code == 404
    assert api.post("/api/v1/filters/mine/versions/2/state", json={"state": "draft"}).status_code == 400
    assert json.loads(api.post("/api/v1/filters", content=b"{").text)["status"] == 400
