"""Sites by name, written out, and of one's own."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from astropy.coordinates import EarthLocation
from astropy.utils.data import conf

from broker.science import sites as broker_sites
from consumers import night, sites
from consumers.errors import RequestError
from consumers.too.decide import night_of


def test_names_are_known_in_any_case_and_keep_how_they_were_asked():
    found = sites.find("Palomar")
    assert found.name == "Palomar"
    assert (found.longitude, found.latitude, found.height) == (-116.863, 33.356, 1706)
    assert sites.find("ZTF").longitude == found.longitude


@pytest.mark.parametrize("name", sorted(set(sites.SITES) & set(broker_sites.SITES)))
def test_the_broker_and_the_client_mean_the_same_places(name: str):
    ours, theirs = sites.find(name), broker_sites.SITES[name]
    assert ours.longitude == pytest.approx(theirs.longitude, abs=1e-3)
    assert ours.latitude == pytest.approx(theirs.latitude, abs=1e-3)
    assert ours.height == pytest.approx(theirs.height, abs=5)


def test_the_broker_knows_no_site_that_the_client_does_not():
    assert set(broker_sites.SITES) <= set(sites.SITES)


def test_a_site_that_is_written_out():
    assert sites.find("tower=11.58,45.85,1413") == sites.Site("tower", 11.58, 45.85, 1413.0)
    assert sites.find("sea=-30,-10") == sites.Site("sea", -30.0, -10.0, 0.0)


def test_a_longitude_counted_all_the_way_east_is_the_same_place_and_the_same_night():
    west, east = sites.find("keck"), sites.find("keck=204.5217,19.8283,4160")
    assert east.longitude == pytest.approx(west.longitude, abs=1e-9)
    for ours, theirs in zip(night.evening(east, "2026-11-21"), night.evening(west, "2026-11-21"), strict=True):
        assert abs((ours - theirs).sec) < 1
    time = datetime(2026, 11, 22, 8, tzinfo=UTC)
    assert night_of(east, time) == night_of(west, time)
    assert [sites.find(f"x={number},0").longitude for number in (180, -180, 360, -360, -190)] == [180, -180, 0, 0, 170]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("palomr", "near it: palomar"),
        ("nowhere at all", "name=longitude,latitude,height"),
        ("x=", "is none"),
        ("x=1", "is none"),
        ("x=1,2,3,4", "is none"),
        ("=1,2,3", "is none"),
        ("x=a,b,c", "is none"),
        ("x=1,91,0", "not on the Earth"),
        ("x=500,0,0", "not on the Earth"),
        ("x=1,2,1e6", "not on the Earth"),
        ("x=nan,2,3", "not a number"),
    ],
)
def test_what_is_no_site_is_refused_with_the_remedy(name: str, says: str):
    with pytest.raises(RequestError, match=says):
        sites.find(name)


def test_sites_of_ones_own_win(tmp_path: Path):
    file = tmp_path / "mine.toml"
    file.write_text(
        "[sites.Hut]\nlongitude = 10\nlatitude = 50.5\nheight = 200\n\n[sites.palomar]\nlongitude = 1\nlatitude = 2\n"
    )
    own = sites.load(file)
    assert sites.find("hut", own) == sites.Site("hut", 10.0, 50.5, 200.0)
    assert sites.find("palomar", own) == sites.Site("palomar", 1.0, 2.0, 0.0)
    assert sites.find("keck", own).longitude == pytest.approx(-155.4783)
    assert {"hut", "keck"} <= set(sites.names(own))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[sites.a]\nlongitude = 1\n", "'a' needs longitude and latitude"),
        ("[sites.a]\nlongitude = 'east'\nlatitude = 2\n", "'a'"),
        ("sites = 3\n", "no table"),
        ("[sites", "mine.toml"),
    ],
)
def test_a_file_of_sites_that_is_wrong(tmp_path: Path, text: str, says: str):
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(RequestError, match=says):
        sites.load(file)


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(RequestError, match=r"none\.toml"):
        sites.load(tmp_path / "none.toml")


def test_astropys_own_list_is_used_where_it_was_fetched(monkeypatch: pytest.MonkeyPatch):
    from astropy.coordinates.sites import SiteRegistry

    known = SiteRegistry()
    known.add_site(["Far Hill"], EarthLocation.from_geodetic(20.0, -30.0, 900.0))
    monkeypatch.setattr(EarthLocation, "_site_registry", known)
    found = sites.find("far hill")
    assert found.longitude == pytest.approx(20.0)
    assert found.latitude == pytest.approx(-30.0)
    assert found.height == pytest.approx(900.0)
    assert conf.allow_internet is True
