"""``python -m consumers.visibility``, as its users run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest
from astropy.time import Time, TimeDelta
from typer.testing import CliRunner

from consumers import night, sites
from consumers.visibility.cli import app
from tests.consumers.event_world import DATE, Told

ROOT = Path(__file__).parents[2]
PNG = b"\x89PNG\r\n\x1a\n"


def look(*arguments: str, status: int = 0):
    shown = CliRunner().invoke(app, [*arguments])
    assert shown.exit_code == status, shown.output
    return shown


def document(*arguments: str):
    return json.loads(look(*arguments, "--json").stdout)


def test_a_target_at_two_sites_agrees_with_the_sky():
    found = document("--ra", "83.63", "--dec", "22.01", "--site", "palomar", "--site", "paranal", "--date", DATE)
    assert [one["site"] for one in found["sites"]] == ["palomar", "paranal"]
    for one in found["sites"]:
        site = sites.find(one["site"])
        assert one["up"] is True
        assert one["reason"] is None
        rise, best = Time(one["rise"][:-1]), Time(one["best"][:-1])
        assert night.altitude(site, 83.63, 22.01, rise) == pytest.approx(30.0, abs=0.01)
        around = best + TimeDelta(np.linspace(-3600, 3600, 121), format="sec")
        assert night.altitude(site, 83.63, 22.01, around).max() <= one["highest"] + 1e-3
        assert one["airmass"] == pytest.approx(1.0 / np.sin(np.radians(one["highest"])), rel=1e-3)
        assert one["set"] == one["night"]["end"]  # it is still up at dawn
        assert one["moon_separation"] == pytest.approx(float(night.moon_separation(site, 83.63, 22.01, best)), abs=0.01)


def test_never_up_is_said_plainly():
    shown = look("--ra", "0", "--dec", "-80", "--site", "palomar", "--site", "south_pole", "--date", DATE)
    assert "never up at palomar: it stays below the horizon while it is dark" in shown.stdout
    assert "no night at south_pole: the Sun does not go below -18 degrees" in shown.stdout
    found = document("--ra", "0", "--dec", "-80", "--site", "palomar", "--date", DATE)
    assert found["sites"][0]["up"] is False
    assert found["sites"][0]["rise"] is None
    assert "never up" in found["sites"][0]["reason"]
    low = document("--ra", "83.63", "--dec", "-40", "--site", "palomar", "--date", DATE)["sites"][0]
    assert "30 are wanted" in low["reason"]
    assert 0 < low["highest"] < 30


def test_two_spells_of_one_night_are_both_told():
    """At 60 degrees north in winter what passes low in the north at midnight is up in the evening and in the morning."""
    found = document("--ra", "275", "--dec", "47", "--site", "far=0,58,0", "--date", "2026-12-21", "--min-altitude", "20")
    one = found["sites"][0]
    assert len(one["windows"]) == 2
    assert one["rise"] == one["windows"][0]["start"] == one["night"]["start"]
    assert one["set"] == one["windows"][1]["end"] == one["night"]["end"]


@pytest.mark.parametrize("date", ["1972-01-01", "2098-12-31"])
def test_the_first_and_the_last_night_are_told_without_warnings(date: str):
    assert document("--ra", "83.63", "--dec", "22.01", "--site", "palomar", "--date", date)["sites"][0]["night"] is not None


def test_the_picture_is_one(tmp_path: Path):
    file = tmp_path / "up.png"
    look("--ra", "83.63", "--dec", "22.01", "--site", "palomar", "--site", "south_pole", "--date", DATE, "--plot", str(file))
    assert file.read_bytes().startswith(PNG)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "say what to look at"),
        (("--ra", "1", "--site", "palomar"), "say what to look at"),
        (("--ra", "1", "--dec", "2", "--event", "S1", "--site", "palomar"), "one of them"),
        (("--ra", "1", "--dec", "2"), "--site"),
        (("--ra", "1", "--dec", "2", "--site", "nowhere"), "no site 'nowhere'"),
        (("--ra", "1", "--dec", "2", "--site", "palomar", "--date", "soon"), "is no date"),
        *(
            (("--ra", "1", "--dec", "2", "--site", "palomar", "--date", date), "from 1972 to 2098")
            for date in ("9999-12-31", "2099-12-31", "2126-01-01", "1850-06-01T04:00", "0001-01-01")
        ),
        (("--ra", "1", "--dec", "2", "--site", "palomar", "--config", "/no/such.toml"), "such.toml"),
        (("--ra", "1", "--dec", "99", "--site", "palomar"), "--dec"),
        (("x", "--site", "palomar", "--api", "nonsense"), "is no address"),
    ],
)
def test_wrong_use_is_status_2(arguments: tuple[str, ...], says: str):
    assert says in look(*arguments, status=2).output


def test_an_api_that_is_away_is_status_1():
    assert "no answer from" in look("ZTF1", "--site", "palomar", "--api", "http://127.0.0.1:1", status=1).output


def test_without_what_follow_up_needs_help_is_there_and_the_remedy_is_told():
    code = """
import sys
from importlib.abc import MetaPathFinder

class NotInstalled(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"numpy", "astropy", "erfa", "healpy", "matplotlib"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NotInstalled())
from consumers.visibility.cli import app
app(sys.argv[1:])
"""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    for arguments, status, says in (
        (["--help"], 0, "python -m consumers.visibility --ra"),
        (["--help"], 0, "[sites.<name>]"),
        (["--ra", "1", "--dec", "2", "--site", "palomar"], 1, "nuncius[follow]"),
    ):
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=env, check=False)
        assert done.returncode == status, done.stderr
        assert says in " ".join((done.stdout + done.stderr).split())


def test_the_map_of_an_event(world: Told, tmp_path: Path):
    file = tmp_path / "map.png"
    asked = (
        "--event",
        world.arc.name,
        "--site",
        "lapalma",
        "--site",
        "sso",
        "--site",
        "south_pole",
        "--date",
        DATE,
        "--api",
        world.url,
    )
    found = document(*asked, "--plot", str(file))
    assert file.read_bytes().startswith(PNG)
    north, south, pole = found["sites"]
    assert north["probability"] > 0.9
    assert 0.0 < north["probability_at_best"] <= north["probability"] + 1e-12
    assert max(one["probability"] for one in north["series"]) == north["probability_at_best"]
    assert north["from"] <= north["best"] <= north["until"]
    assert 0.0 < south["probability"] <= 1.0 + 1e-9
    assert pole["up"] is False
    assert "does not go below" in pole["reason"]
    shown = look(*asked)
    assert world.arc.name in shown.stdout
    assert "never up" in shown.stdout


def test_probability_up_is_that_of_the_true_place_spread_by_the_map(world: Told):
    """Held against a flattened map and astropy's own altitudes."""
    import astropy.units as u
    import healpy
    from astropy.coordinates import AltAz, EarthLocation, SkyCoord
    from astropy.utils import iers

    from consumers.cells import read, split

    found = document("--event", world.arc.name, "--site", "sso", "--date", DATE, "--api", world.url)["sites"][0]
    cells = read(httpx.get(f"{world.url}/api/v1/events/{world.arc.name}/skymap", timeout=60).content)
    flat = np.zeros(healpy.nside2npix(128))
    fine = split(cells, 7)
    np.add.at(flat, fine.pixel >> 2 * (fine.order - 7), fine.probability)
    ra, dec = healpy.pix2ang(128, np.flatnonzero(flat), nest=True, lonlat=True)
    site = sites.find("sso")
    where = EarthLocation.from_geodetic(site.longitude * u.deg, site.latitude * u.deg, site.height * u.m)
    one = found["series"][len(found["series"]) // 2]
    with iers.conf.set_temp("auto_download", value=False), iers.conf.set_temp("iers_degraded_accuracy", "ignore"):
        frame = AltAz(obstime=Time(one["time"][:-1]), location=where)
        high = SkyCoord(ra * u.deg, dec * u.deg).transform_to(frame).alt.deg >= 30.0
    assert flat[np.flatnonzero(flat)][high].sum() == pytest.approx(one["probability"], abs=2e-3)


def test_an_alert_and_an_object_of_the_api(world: Told):
    alerts = httpx.get(f"{world.url}/api/v1/alerts", params={"ra": 95, "dec": 30, "radius": 1, "stream": "gcn"}, timeout=30)
    burst = alerts.json()["items"][0]
    for name in (burst["alert_id"], burst["object_id"]):
        found = document(name, "--site", "lapalma", "--date", DATE, "--api", world.url)
        assert (found["target"], found["ra"], found["dec"]) == (name, 95.0, 30.0)
        assert found["sites"][0]["up"] is True


def test_what_the_api_does_not_have(world: Told):
    assert "ZTF99nothing" in look("ZTF99nothing", "--site", "lapalma", "--api", world.url, status=2).output
    assert "S000000x" in look("--event", "S000000x", "--site", "lapalma", "--api", world.url, status=2).output
    assert "has no sky map" in look("--event", world.bare, "--site", "lapalma", "--api", world.url, status=2).output
