"""Detection-to-follow-up sequences and multi-wavelength light curves over HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import polars as pl
import pytest

from broker.store import associations
from broker.store.engine import transaction
from tests.api.world import BIG, NOW, World, survey_alert

API = "/api/v1"
MERGER = NOW - timedelta(hours=1)
OBJECT = "ZTF24aa00001"


@pytest.fixture(scope="module", autouse=True)
def followed(here: World, client: httpx.Client) -> None:
    """A merger with two objects in its map, and three telescopes that looked."""
    rows = [survey_alert(number) for number in (0, 1)]
    found = pl.DataFrame(
        {
            "event_name": ["S240422ed"] * 2,
            "alert_id": [row["alert_id"] for row in rows],
            "hpx": [row["hpx"] for row in rows],
            "time": [int(row["time"].timestamp() * 1e6) for row in rows],
            "revision": [1, 1],
            "state": ["live"] * 2,
            "credible_level": [0.5, 0.1],
            "density": [1.0, 2.0],
            "dt": [(row["time"] - MERGER).total_seconds() for row in rows],
        }
    )
    with transaction(here.store) as conn:
        associations.upsert_rows(conn, found, 1)
    told = {"ra": 118.0, "dec": -24.0, "footprint": {"type": "circle", "radius": 0.2}}
    after = {name: (MERGER + timedelta(seconds=dt)).isoformat() for name, dt in (("xrt", 1800), ("vla", 900_000), ("lt", 7200))}
    observed = [
        told | {"telescope": "Swift", "instrument": "XRT", "time": after["xrt"], "depth": 2e-13, "depth_unit": "flux_erg"},
        told
        | {
            "telescope": "VLA",
            "band": "X",
            "time": after["vla"],
            "photometry": [{"object": OBJECT, "flux": 30.0, "flux_unit": "uJy"}],
        },
        told
        | {
            "telescope": "LT",
            "band": "r",
            "time": after["lt"],
            "depth": 21.0,
            "photometry": [
                {"object": OBJECT, "mag": 20.0, "mag_err": 0.1},
                {"object": OBJECT, "mag": 19.5, "band": "i", "kind": "limit", "mag_system": "vega"},
            ],
        },
        told | {"telescope": "VLT", "status": "planned", "time": after["vla"], "band": "K"},
    ]
    answer = client.post(f"{API}/events/S240422ed/observations", json={"observations": observed})
    assert answer.status_code == 201, answer.text


def test_of_an_event(client: httpx.Client) -> None:
    found = client.get(f"{API}/events/s240422ED/sequence").json()
    assert (found["event"], found["messenger"], found["mission"], found["test"]) == ("S240422ed", "GW", "LVK", False)
    assert found["state"] == client.get(f"{API}/events/S240422ed").json()["state"]
    steps = {step["who"]: step for step in found["steps"]}
    assert set(steps) == {"LVK", "ZTF", "Swift XRT", "VLA", "LT", "VLT"}
    assert (steps["LVK"]["what"], steps["LVK"]["own"], steps["LVK"]["spectrum"]["regime"]) == ("notice", True, "gw")
    assert (steps["Swift XRT"]["dt"], steps["Swift XRT"]["spectrum"]["energy_max_kev"]) == (1800, 10)
    assert steps["VLA"]["spectrum"]["unit"] == "GHz"
    assert (steps["LT"]["what"], steps["LT"]["band"], steps["LT"]["status"]) == ("observation", "r", "completed")
    assert steps["VLT"]["status"] == "planned"
    assert steps["ZTF"]["alert_id"].startswith("ztf:")
    assert sum(step["count"] for step in found["steps"] if step["what"] == "alert") == 2
    assert found["followed_after"] == 1800
    assert [step["time"] for step in found["steps"]] == sorted(step["time"] for step in found["steps"])
    assert client.get(f"{API}/events/nobody/sequence").status_code == 404


@pytest.mark.parametrize(
    ("asked", "who"),
    [
        ({}, {"LVK", "ZTF", "Swift XRT", "VLA", "LT", "VLT"}),
        ({"telescope": "vl"}, {"LVK", "VLA", "VLT"}),
        ({"band": "radio"}, {"LVK", "VLA"}),
        ({"band": "r", "within": 7200}, {"LVK", "LT", "ZTF"}),
        ({"band": "r", "within": 3600}, {"LVK", "ZTF"}),
        ({"band": "x-ray", "within": 1799}, None),
        ({"within": 1800}, {"LVK", "Swift XRT"}),
        ({"messenger": "GW", "telescope": "LT"}, {"LVK", "LT"}),
        ({"messenger": "Neutrino"}, None),
        ({"mission": "lvk", "telescope": "LT"}, {"LVK", "LT"}),
        ({"mission": "Fermi"}, None),
        ({"since": "2024-04-22T20:35:14Z"}, None),
        ({"until": "2024-04-22T20:35:14Z", "telescope": "LT"}, {"LVK", "LT"}),
        ({"telescope": "nobody"}, None),
        ({"telescope": "VLT"}, None),  # which only plans to
        ({"band": "K"}, None),
    ],
)
def test_which_were_followed_by_whom(client: httpx.Client, asked: dict[str, Any], who: set[str] | None) -> None:
    items = client.get(f"{API}/sequences", params=asked).json()["items"]
    assert [one["event"] for one in items] == ([] if who is None else ["S240422ed"])
    if who is not None:
        assert {step["who"] for step in items[0]["steps"]} == who


def test_wrong_use_of_the_list(client: httpx.Client) -> None:
    for wrong in ("since=x", "since=2025-01-01&until=2024-01-01", "within=-1", "limit=0", "cursor=x"):
        assert client.get(f"{API}/sequences?{wrong}").status_code == 400, wrong


class TestLightCurve:
    def curve(self, client: httpx.Client, **asked: Any) -> Any:
        answer = client.get(f"{API}/events/S240422ed/light-curve", params=asked)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def test_has_every_light(self, client: httpx.Client) -> None:
        found = self.curve(client)
        assert found["objects"] == [OBJECT, "ZTF24aa00000"]  # the deeper one first
        by_source: dict[str, list[Any]] = {}
        for point in found["points"]:
            by_source.setdefault(point["source"], []).append(point)
        assert set(by_source) == {"ztf", "Swift XRT", "VLA", "LT"}
        survey = client.get(f"{API}/objects/{OBJECT}/lightcurve").json()["points"]
        mine = [point for point in by_source["ztf"] if point["object"] == OBJECT]
        assert [(point["mjd"], point["mag"], point["band"], point["kind"]) for point in mine] == [
            (point["time"], point["mag"], point["band"], point["kind"]) for point in survey
        ]
        (xray,) = by_source["Swift XRT"]
        assert (xray["kind"], xray["flux"], xray["flux_unit"], xray["object"], xray["dt"]) == (
            "limit",
            2e-13,
            "erg/cm2/s",
            None,
            1800,
        )
        assert (xray["regime"], xray["energy_min_kev"], xray["mag"]) == ("x-ray", 0.3, None)
        (radio,) = by_source["VLA"]
        assert (radio["flux_jy"], radio["regime"], radio["object"]) == (pytest.approx(3e-5), "radio", OBJECT)
        kinds = {(point["band"], point["kind"], point["mag_system"], point["object"]) for point in by_source["LT"]}
        assert kinds == {("r", "detection", "ab", OBJECT), ("i", "limit", "vega", OBJECT), ("r", "limit", "ab", None)}
        bright = next(point for point in by_source["LT"] if point["kind"] == "detection")
        assert bright["flux_jy"] == pytest.approx(3631 * 10**-8.0)
        assert [point["time"] for point in found["points"]] == sorted(point["time"] for point in found["points"])

    def test_of_some(self, client: httpx.Client) -> None:
        assert {point["object"] for point in self.curve(client, object=OBJECT)["points"]} == {OBJECT}
        assert self.curve(client, objects=1)["objects"] == [OBJECT]
        assert self.curve(client, level=0.2)["objects"] == [OBJECT]
        without = self.curve(client, fields=False, objects=0)["points"]
        assert {point["source"] for point in without} == {"VLA", "LT"}
        assert self.curve(client, object="nobody")["points"] == []

    def test_as_a_table(self, client: httpx.Client) -> None:
        answer = client.get(f"{API}/events/S240422ed/light-curve?format=csv&objects=0")
        lines = answer.text.splitlines()
        assert answer.headers["content-type"].startswith("text/csv")
        assert lines[0].startswith("time,mjd,dt,object,source,kind,band,regime")
        assert len(lines) == 1 + len(self.curve(client, objects=0)["points"])

    def test_of_no_event(self, client: httpx.Client) -> None:
        assert client.get(f"{API}/events/nobody/light-curve").status_code == 404
        assert client.get(f"{API}/alerts/ztf:{BIG}").status_code == 200
