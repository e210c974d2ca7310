"""Pictures of an alert: its light curve, and where it is among its neighbours."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event
from typing import Any
from urllib.parse import quote

import httpx
import matplotlib.image
import numpy as np
import polars as pl
import pytest

from broker.api import pictures
from broker.api.policy import Auth
from broker.science.finding_chart import Source
from broker.store import people
from tests.api.people import asked, bearer
from tests.api.world import BIG, IVORN, World, served

ZTF = f"ztf:{BIG + 8}"


def picture(client: httpx.Client, alert_id: str, name: str) -> np.ndarray:
    answer = client.get(f"/api/v1/alerts/{quote(alert_id, safe='')}/{name}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    return matplotlib.image.imread(io.BytesIO(answer.content), "png")


def test_a_light_curve_is_that_of_the_alerts_object(here: World, client: httpx.Client) -> None:
    shown = picture(client, ZTF, "light-curve.png")
    assert shown.shape[:2] == (576, 960)
    assert np.ptp(shown[..., :3]) > 0.9
    assert (picture(client, ZTF, "light-curve.png") == shown).all()
    curve = here.services.light_curve
    fainter = replace(here.services, light_curve=lambda name: curve(name).with_columns(pl.col("mag") + 3))
    with asked(fainter, Auth()) as other:
        assert (picture(other, ZTF, "light-curve.png") != shown).any()


def test_a_finding_chart_is_the_science_image_with_its_neighbours(here: World, client: httpx.Client) -> None:
    shown = picture(client, ZTF, "finding-chart.png")
    assert shown.shape[1] == 720
    row = client.get(f"/api/v1/alerts/{quote(ZTF, safe='')}").json()
    asked_at: list[tuple[float, float]] = []

    def near(ra: float, dec: float) -> list[Source]:
        asked_at.append((ra, dec))
        return [Source("gaia", "neighbour", ra, dec + 10 / 3600, 17.0)]

    with asked(replace(here.services, neighbours=near), Auth()) as other:
        marked = picture(other, ZTF, "finding-chart.png")
    assert asked_at == [(row["ra"], row["dec"])]
    without = replace(here.services, neighbours=near, cutout=lambda _alert, _kind: None)
    with asked(without, Auth()) as other:
        drawn = picture(other, ZTF, "finding-chart.png")
    assert (marked != shown).any()
    assert drawn.shape == shown.shape
    assert drawn.mean() > marked.mean()  # on paper, not on the night


@pytest.mark.parametrize(
    ("alert_id", "name", "said"),
    [
        (IVORN, "light-curve.png", "no light curve"),
        ("lvk:S240422ed-2-Initial", "finding-chart.png", "no position"),
        ("ztf:1", "light-curve.png", "ztf:1"),
        ("ztf:1", "finding-chart.png", "ztf:1"),
    ],
)
def test_what_cannot_be_drawn_is_told(client: httpx.Client, alert_id: str, name: str, said: str) -> None:
    answer = client.get(f"/api/v1/alerts/{quote(alert_id, safe='')}/{name}")
    assert answer.status_code == 404
    assert said in answer.json()["detail"]


def test_who_waits_for_others_pictures_is_told_so(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what takes its time to read holds nobody up."""
    monkeypatch.setattr(pictures, "TURN_SECONDS", 0.05)
    began, go, draw = Event(), Event(), pictures.lightcurve_plot.draw

    def slowly(*some: Any, **more: Any) -> Any:
        began.set()
        assert go.wait(30)
        return draw(*some, **more)

    def reads(name: str) -> pl.DataFrame:
        if began.is_set():
            read.append(name)
        return here.services.light_curve(name)

    read: list[str] = []
    monkeypatch.setattr(pictures.lightcurve_plot, "draw", slowly)
    address = f"/api/v1/alerts/{quote(ZTF, safe='')}/light-curve.png"
    with asked(replace(here.services, light_curve=reads), Auth()) as client, ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.get, address)
        assert began.wait(30)
        second = client.get(address)
        go.set()
        assert first.result(30).status_code == 200
    assert second.status_code == 503
    assert "many pictures" in second.json()["detail"]
    assert len(read) == 1


def test_a_chart_of_what_has_no_image_is_drawn(client: httpx.Client) -> None:
    assert picture(client, IVORN, "finding-chart.png").shape[1] == 720


@pytest.mark.parametrize(
    ("auth", "caches"),
    [
        (Auth(), "public"),
        (Auth(required=True), "public"),
        (Auth(required=True, public_read=False), "private"),
        (Auth(public_read=False), "public"),  # nobody is asked for anything
    ],
)
def test_what_asks_for_an_account_is_kept_by_no_cache_that_others_share(here: World, auth: Auth, caches: str) -> None:
    name = f"reader-{auth.required:d}{auth.public_read:d}"
    people.add(here.store, name)
    headers = bearer(here.store, name, "read")
    alert = f"/api/v1/alerts/{ZTF}"
    with served(replace(here.services, auth=auth)) as url, httpx.Client(base_url=url, timeout=60, headers=headers) as client:
        for address in ("finding-chart.png", "light-curve.png", "packet", "cutouts/science", "cutouts/science?format=fits"):
            answer = client.get(f"{alert}/{address}")
            assert answer.status_code == 200, answer.text
            assert answer.headers["Cache-Control"].startswith(f"{caches}, max-age="), address
