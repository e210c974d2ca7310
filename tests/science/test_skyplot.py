"""Projections, Sun and Moon against astropy; pictures are pictures and show what they are asked to."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord, get_body
from astropy.time import Time
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from broker.errors import SkyMapError
from broker.science import sky
from broker.science.annulus import from_annulus
from broker.science.projection import AzimuthalEqualArea, Mollweide, galactic_plane
from broker.science.skymap import build, from_cone
from broker.science.skyplot import Candidate, View, draw, zoomed
from broker.science.solar import moon, sun

TIME = datetime(2026, 11, 21, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    "projection", [Mollweide(), Mollweide(30.0), AzimuthalEqualArea(10, 80, 60), AzimuthalEqualArea(0, -90, 3)]
)
@settings(max_examples=50, deadline=None)
@given(ra=st.floats(0, 360), dec=st.floats(-89.99, 89.99))
def test_there_and_back(projection, ra: float, dec: float) -> None:
    if isinstance(projection, AzimuthalEqualArea) and sky.separation(ra, dec, projection.ra, projection.dec) > 175:
        return
    back = projection.backward(*projection.forward(ra, dec))
    assert sky.separation(ra, dec, *back) < 1e-6


def test_projections_keep_areas_and_have_east_to_the_left() -> None:
    for projection, scale in ((Mollweide(), 1.0), (AzimuthalEqualArea(180, 10, 50), np.degrees(1))):
        for ra, dec in ((180.0, 0.0), (200.0, 40.0), (150.0, -30.0)):
            step = 1e-4
            x, y = projection.forward([ra, ra + step, ra], [dec, dec, dec + step])
            cross = (x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0])
            assert abs(cross) == pytest.approx((np.radians(step) * scale) ** 2 * np.cos(np.radians(dec)), rel=1e-3)
            assert x[1] < x[0]
            assert y[2] > y[0]
    assert np.isnan(Mollweide().backward(2.8, 1.4)[0])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("year", [2012, 2019, 2026])
def test_sun_moon_and_galactic_plane_are_those_of_astropy(year: int) -> None:
    time = TIME.replace(year=year)
    for name, ours in (("sun", sun(time)), ("moon", moon(time))):
        theirs = get_body(name, Time(time))
        assert sky.separation(*ours, theirs.ra.deg, theirs.dec.deg) < 0.01, name
    plane = SkyCoord(np.linspace(0, 360, 721) * u.deg, 0 * u.deg, frame="galactic").icrs
    assert sky.separation(*galactic_plane(), plane.ra.deg, plane.dec.deg).max() < 1e-4


MAPS = {
    "circle": from_cone(250.0, -20.0, 6.0),
    "at the pole": from_cone(10.0, 90.0, 0.5),
    "tiny": from_cone(0.0, 0.0, 1 / 3600),
    "annulus": from_annulus(120.0, 50.0, 40.0, 1.0),
    "all alike": build(np.array([0]), np.array([sky.NPIX29]), np.array([1 / (4 * np.pi)])),
}


@pytest.mark.parametrize("zoom", [False, True])
@pytest.mark.parametrize("name", MAPS)
def test_pictures_of_every_kind_of_map(name: str, zoom: bool) -> None:
    drawn = Image.open(io.BytesIO(draw(MAPS[name], "png", View(zoom=zoom, time=TIME))))
    assert drawn.width == 1200
    assert len(np.unique(np.asarray(drawn.convert("L")))) > 5


def test_the_map_is_where_it_should_be() -> None:
    drawn = np.asarray(Image.open(io.BytesIO(draw(from_cone(250.0, -20.0, 6.0), "png"))).convert("RGB")).astype(int)
    red = (drawn[..., 0] - drawn[..., 2] > 60) & (drawn[..., 0] > 100)
    red[-60:] = False  # the legend
    y, x = (axis.mean() for axis in np.nonzero(red))
    assert x < 0.5 * drawn.shape[1]  # east of the middle at 180 degrees
    assert y > 0.5 * drawn.shape[0]


def test_what_a_picture_says() -> None:
    candidates = [Candidate("AT 2026xyz $1", 251.0, -19.0), Candidate("elsewhere", 10.0, 70.0)]
    drawn = draw(MAPS["circle"], "svg", View(zoom=True, time=TIME, candidates=candidates, title="S261121a")).decode()
    for told in ("AT 2026xyz $1", "S261121a", "90%: 113 deg²", "50%:", "candidates"):
        assert told in drawn, told
    assert "elsewhere" not in drawn
    whole = draw(MAPS["circle"], "svg", View(time=TIME, candidates=candidates)).decode()
    for told in ("elsewhere", "Sun", "Moon", "galactic plane"):
        assert told in whole, told


def test_the_closer_view() -> None:
    view = zoomed(MAPS["circle"])
    assert sky.separation(view.ra, view.dec, 250.0, -20.0) < 0.3
    assert 6.0 < view.radius < 12.0
    assert zoomed(MAPS["circle"], 2.0).radius == 2.0
    assert zoomed(MAPS["annulus"]).radius <= 90.0


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(SkyMapError, match="png or svg"):
        draw(MAPS["circle"], "gif")
