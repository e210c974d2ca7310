"""Observations of events over HTTP, and what they cover."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import healpy as hp
import httpx
import numpy as np
import pytest

from broker.science.skymap import from_cone
from tests.api.world import BIG, World, served

API = "/api/v1"
HERE = f"{API}/events/GRB240422A/observations"
MAP = from_cone(250.0, -20.0, 9.0)  # the map of every event of this world that has one


def field(**said: Any) -> dict[str, Any]:
    footprint = {"type": "circle", "radius": 1.5}
    return {"time": "2024-04-22T23:00:00Z", "ra": 250.0, "dec": -20.0, "telescope": "LT", "footprint": footprint, **said}


def sent(client: httpx.Client, *fields: dict[str, Any], event: str = "S240422ed", status: int = 201) -> Any:
    answer = client.post(f"{API}/events/{event}/observations", json={"observations": list(fields)})
    assert answer.status_code == status, answer.text
    return answer.json()


ORDER = 10
CELLS = hp.query_disc(1 << ORDER, hp.ang2vec(250.0, -20.0, lonlat=True), np.radians(30.0), nest=True)
VECTORS = np.column_stack(hp.pix2vec(1 << ORDER, CELLS, nest=True))
SHIFT = 2 * (29 - ORDER)
ROWS = np.searchsorted(MAP.start, (CELLS << SHIFT) + (1 << (SHIFT - 1)), side="right") - 1
PROBABILITY = MAP.density[ROWS] * hp.nside2pixarea(1 << ORDER)


def summed(fields: list[dict[str, Any]]) -> float:
    """Probability in round fields, by cells of one order, a dot product each."""
    inside = np.zeros(CELLS.size, np.bool_)
    for one in fields:
        centre = np.array(hp.ang2vec(one["ra"], one["dec"], lonlat=True))
        inside |= VECTORS @ centre >= np.cos(np.radians(one["footprint"]["radius"]))
    return float(PROBABILITY[inside].sum())


def test_sent_and_read(client: httpx.Client) -> None:
    polygon = {"type": "polygon", "vertices": [[359.5, 1.0], [0.5, 1.0], [0.5, 2.0], [359.5, 2.0]]}
    measured = {"object": "AT2024abc", "mag": 20.1, "mag_err": 0.1, "time": "2024-04-22T23:01:00Z"}
    first = field(id="n/1", band="r", depth=21.0, exposure=60, instrument="IO:O", photometry=[measured], note="clear")
    second = field(
        id="n/2", footprint=polygon, ra=None, dec=None, band_min=0.3, band_max=10, band_unit="keV", reporter="The Team"
    )
    del second["ra"], second["dec"]
    done = sent(client, first, second, event="grb%20240422a")
    assert (done["event"], done["new"], done["changed"], done["unchanged"]) == ("GRB240422A", 2, 0, 0)
    items = client.get(HERE).json()["items"]
    assert items == sorted(done["items"], key=lambda one: one["observation_id"])  # of one instant
    one, other = done["items"]
    told = {"id": "n/1", "band": "r", "depth": 21.0, "exposure": 60, "telescope": "LT", "instrument": "IO:O"}
    told |= {"depth_unit": "ab_mag", "status": "completed", "note": "clear"}
    assert {name: one[name] for name in told} == told
    assert (one["footprint"], one["time"], one["who"], one["reporter"]) == (
        first["footprint"],
        "2024-04-22T23:00:00.000000Z",
        "local",
        "local",
    )
    assert one["spectrum"]["regime"] == "optical"
    assert one["photometry"][0]["object"] == "AT2024abc"
    assert one["photometry"][0]["time"] == "2024-04-22T23:01:00.000000Z"
    assert (other["footprint"], other["reporter"], other["spectrum"]["regime"]) == (polygon, "The Team", "x-ray")
    assert min(other["ra"], 360 - other["ra"]) < 1e-6
    assert other["dec"] == pytest.approx(1.5, abs=1e-3)
    again = {
        name: value for name, value in one.items() if name not in {"observation_id", "spectrum", "who", "created", "changed"}
    }
    assert sent(client, again, event="GRB240422A", status=200)["unchanged"] == 1  # what is read can be sent


def test_what_was_planned_is_done(client: httpx.Client) -> None:
    planned = field(id="p/1", status="planned")
    sent(client, planned, event="GRB240422A")
    assert sent(client, planned, event="GRB240422A", status=200)["unchanged"] == 1
    assert sent(client, planned | {"status": "completed"}, event="GRB240422A", status=200)["changed"] == 1
    refused = sent(client, planned, event="GRB240422A", status=409)
    assert refused["type"].endswith("conflict")
    assert "'p/1' is completed and cannot become planned" in refused["detail"]
    assert {one["id"] for one in client.get(f"{HERE}?status=completed").json()["items"]} >= {"p/1"}
    assert client.get(f"{HERE}?status=planned").json()["items"] == []


def test_what_has_not_begun_cannot_be_completed(client: httpx.Client) -> None:
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    refused = sent(client, field(id="soon", time=soon), event="GRB240422A", status=400)
    assert "cannot be completed yet" in refused["detail"]
    sent(client, field(id="soon", time=soon, status="planned"), event="GRB240422A")
    sent(client, field(id="soon", time=soon, status="completed"), event="GRB240422A", status=400)
    sent(client, field(id="soon", time=soon, status="cancelled"), event="GRB240422A", status=200)
    ahead = (datetime.now(UTC) + timedelta(minutes=2)).isoformat()  # a clock of theirs
    sent(client, field(id="ahead", time=ahead), event="GRB240422A")


def test_the_list_in_pages(client: httpx.Client) -> None:
    sent(client, *(field(id=f"page/{number}", band="z") for number in range(5)), event="GRB240422A")
    address, seen = f"{HERE}?limit=2&band=z", []
    while address:
        page = client.get(address).json()
        seen += [one["id"] for one in page["items"]]
        address = page["next"]
    assert sorted(seen) == [f"page/{number}" for number in range(5)]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"ra": 400}, "ra"),
        ({"dec": None}, "ra and dec"),
        ({"time": "yesterday"}, "time"),
        ({"time": "0001-01-01T00:00:00Z"}, "years 1900"),
        ({"telescope": ""}, "telescope"),
        ({"telescope": "a\nb"}, "telescope"),
        ({"footprint": {"type": "circle", "radius": 0}}, "radius"),
        ({"footprint": {"type": "square"}}, "footprint"),
        ({"footprint": {"type": "polygon", "vertices": [[1, 1], [1, 1], [1, 1]]}}, "one place"),
        ({"footprint": {"type": "polygon", "vertices": [[1, 1], [2, 2]]}}, "vertices"),
        ({"footprint": {"type": "polygon", "vertices": [[1, 1], [2, 2], [2, 1], [1, 2]]}}, "crosses itself"),
        ({"footprint": {"type": "polygon", "vertices": [[1, 1], [2, 2], [2, 1]] * 40}}, "vertices"),
        ({"status": "maybe"}, "status"),
        ({"band_min": 1.0}, "come together"),
        ({"band_min": 1.0, "band_max": 2.0, "band_unit": "banana"}, "band_unit"),
        ({"depth": float("1e40")}, "depth"),
        ({"depth": -1.0, "depth_unit": "flux_jy"}, "above 0"),
        ({"photometry": [{"object": "x"}]}, "mag or a flux"),
        ({"photometry": [{"flux": 1.0}]}, "flux_unit"),
        ({"exposure": -1}, "exposure"),
    ],
)
def test_what_cannot_be_is_refused_whole(client: httpx.Client, wrong: dict[str, Any], said: str) -> None:
    before = len(client.get(HERE).json()["items"])
    refused = sent(client, field(id="good"), field(**wrong), event="GRB240422A", status=400)
    assert said in refused["detail"]
    assert len(client.get(HERE).json()["items"]) == before


def test_of_no_event(client: httpx.Client) -> None:
    for path in ("observations", "coverage"):
        assert client.get(f"{API}/events/nobody/{path}").status_code == 404
    sent(client, field(), event="nobody", status=404)
    assert client.post(HERE, json={"observations": []}).status_code == 400


class TestCoverage:
    @pytest.fixture(scope="class")
    @classmethod
    def fields(cls, client: httpx.Client) -> list[dict[str, Any]]:
        rng = np.random.default_rng(7)
        made = [
            field(
                id=f"c/{number}",
                ra=float(250 + rng.normal(0, 5)),
                dec=float(-20 + rng.normal(0, 5)),
                band="gr"[number % 2],
                depth=20.0 + 0.25 * (number % 6),
                status="planned" if number >= 12 else "completed",
            )
            for number in range(16)
        ]
        sent(
            client,
            *made,
            field(id="c/limit", band="X", footprint=None, telescope="VLA"),
            field(id="c/off", status="cancelled", radius=9),
            field(id="c/before", time="2024-04-22T20:00:00Z", ra=248.0, footprint={"type": "circle", "radius": 9.0}),
        )
        return made

    def covered(self, client: httpx.Client, **asked: Any) -> Any:
        answer = client.get(f"{API}/events/S240422ed/coverage", params=asked)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def test_is_the_sum_over_the_map(self, client: httpx.Client, fields: list[dict[str, Any]]) -> None:
        done = [one for one in fields if one["status"] == "completed"]
        found = self.covered(client)
        assert found["probability"] == pytest.approx(summed(done), abs=1e-3)
        assert found["observations"] == len(done) + 1
        assert self.covered(client, planned=True)["probability"] == pytest.approx(summed(fields), abs=1e-3)
        assert self.covered(client, planned=True)["probability"] > found["probability"]
        singly = sum(summed([one]) for one in done)
        assert singly > found["probability"] + 0.01  # overlaps are counted once
        assert found["area"] < len(done) * np.pi * 1.5**2
        assert found["revision"] == 1

    def test_by_band_and_limit(self, client: httpx.Client, fields: list[dict[str, Any]]) -> None:
        done = [one for one in fields if one["status"] == "completed"]
        bands = {band["band"]: band for band in self.covered(client)["bands"]}
        assert set(bands) == {"g", "r", "X"}
        for name in "gr":
            mine = [one for one in done if one["band"] == name]
            assert bands[name]["probability"] == pytest.approx(summed(mine), abs=1e-3)
            assert bands[name]["observations"] == len(mine)
            for step in bands[name]["depths"]:
                deep = [one for one in mine if one["depth"] >= step["depth"]]
                assert step["observations"] == len(deep) > 0
                assert step["probability"] == pytest.approx(summed(deep), abs=1e-3)
            assert [step["depth"] for step in bands[name]["depths"]] == sorted({np.floor(2 * one["depth"]) / 2 for one in mine})
        assert (bands["X"]["probability"], bands["X"]["area"], bands["X"]["depths"]) == (0, 0, [])
        assert bands["X"]["spectrum"]["regime"] == "radio"

    def test_what_is_asked_for(self, client: httpx.Client, fields: list[dict[str, Any]]) -> None:
        done = [one for one in fields if one["status"] == "completed"]
        deep = [one for one in done if one["depth"] >= 20.75]
        assert self.covered(client, depth=20.75)["probability"] == pytest.approx(summed(deep), abs=1e-3)
        assert self.covered(client, depth=20.75, depth_unit="vega_mag")["observations"] == 0
        assert self.covered(client, band="g")["observations"] == sum(one["band"] == "g" for one in done)
        assert self.covered(client, telescope="VLA")["probability"] == 0

    def test_of_an_event_without_a_map(self, client: httpx.Client) -> None:
        found = client.get(f"{API}/events/GRB240422A/coverage").json()
        assert found["probability"] is None
        assert found["area"] > 7


def test_the_account_is_who_sent_it(here: World) -> None:
    from broker.api.policy import Auth
    from broker.store import people
    from tests.api.people import bearer

    services = replace(here.services, auth=Auth(required=True))
    people.add(here.store, "hypatia", password="correct horse battery staple")
    with served(services) as url, httpx.Client(base_url=url, timeout=20) as client:
        assert client.post(HERE, json={"observations": [field(id="w")]}).status_code == 401
        reader = bearer(here.store, "hypatia", "read")
        assert client.post(HERE, json={"observations": [field(id="w")]}, headers=reader).status_code == 403
        writer = bearer(here.store, "hypatia", "read", "write:reports")
        (one,) = client.post(HERE, json={"observations": [field(id="w")]}, headers=writer).json()["items"]
        assert (one["who"], one["reporter"]) == ("hypatia", "hypatia")
        assert client.get(HERE).status_code == 200


def test_taken_out_by_who_sent_it_and_by_administrators(here: World) -> None:
    from broker.api.policy import Auth
    from broker.store import people
    from tests.api.people import bearer

    services = replace(here.services, auth=Auth(required=True))
    for name in ("ann", "bob", "root"):
        people.add(here.store, name, admin=name == "root")
    writer = {name: bearer(here.store, name, "read", "write:reports") for name in ("ann", "bob")}
    writer |= {"root": bearer(here.store, "root", "admin"), "reader": bearer(here.store, "ann", "read")}
    alert = f"{API}/alerts/ztf:{BIG + 4}/classifications"
    with served(services) as url, httpx.Client(base_url=url, timeout=20) as client:
        made = []
        for _ in range(2):
            answer = client.post(HERE, json={"observations": [field(telescope="Mistaken")]}, headers=writer["ann"])
            made.append(f"{HERE}/{answer.json()['items'][0]['observation_id']}")
            said = {"classifications": [{"classification": "SN Ia"}]}
            made.append(f"{alert}/{client.post(alert, json=said, headers=writer['ann']).json()['items'][0]['id']}")
            for address in made[-2:]:
                assert client.delete(address).status_code == 401
                assert client.delete(address, headers=writer["reader"]).status_code == 403
                refused = client.delete(address, headers=writer["bob"])
                assert (refused.status_code, "'ann'" in refused.text) == (403, True)
                assert client.delete(address, headers=writer["ann" if len(made) == 2 else "root"]).status_code == 204
                assert client.delete(address, headers=writer["root"]).status_code == 404
        assert client.get(f"{HERE}?telescope=Mistaken").json()["items"] == []
        assert client.get(alert).json()["items"] == []
        (one,) = client.post(HERE, json={"observations": [field(telescope="Kept")]}, headers=writer["ann"]).json()["items"]
        elsewhere = HERE.replace("GRB240422A", "S240422ed")
        for address in (f"{elsewhere}/{one['observation_id']}", f"{HERE}/obs_0", f"{alert}/cls_0"):
            assert client.delete(address, headers=writer["root"]).status_code == 404
        assert len(client.get(f"{HERE}?telescope=Kept").json()["items"]) == 1


def test_of_bands_without_number_some_are_told(client: httpx.Client) -> None:
    small = {"type": "circle", "radius": 0.01}
    fields = [field(telescope="Many", band=f"band {number}", footprint=small) for number in range(60)]
    fields += [field(telescope="Many", band="the one", ra=ra) for ra in (251.0, 252.0)]
    sent(client, *fields, event="GRB240422A")
    told = client.get(f"{API}/events/GRB240422A/coverage?telescope=Many").json()
    assert told["observations"] == 62
    assert len(told["bands"]) == 20
    assert "the one" in {one["band"] for one in told["bands"]}
