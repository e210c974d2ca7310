"""What fields cover, against sums over the cells of a map that know nothing of how we make fields."""

from __future__ import annotations

import healpy as hp
import numpy as np
import pytest

from broker.errors import UsageError
from broker.science import coverage
from broker.science.coverage import Field, covered, deep_enough, depth_steps, field_ranges
from broker.science.sky import CELL_AREA, ORDER
from broker.science.skymap import SkyMap, from_cone

SQUARE_DEGREES = CELL_AREA * np.degrees(1.0) ** 2


def area(footprint: dict[str, object], ra: float = 0.0, dec: float = 0.0) -> float:
    ranges = field_ranges(ra, dec, footprint)
    assert (ranges[:, 0] < ranges[:, 1]).all()
    assert (ranges[1:, 0] > ranges[:-1, 1]).all()
    return float((ranges[:, 1] - ranges[:, 0]).sum() * SQUARE_DEGREES)


def cells_near(skymap: SkyMap, order: int, ra: float, dec: float, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Directions and probabilities of all cells of one order within some degrees."""
    centre = hp.ang2vec(ra, dec, lonlat=True)
    cells = hp.query_disc(1 << order, centre, np.radians(radius), nest=True)
    shift = 2 * (ORDER - order)
    row = np.searchsorted(skymap.start, (cells << shift) + (1 << (shift - 1)), side="right") - 1
    vectors = np.column_stack(hp.pix2vec(1 << order, cells, nest=True))
    return vectors, skymap.density[row] * hp.nside2pixarea(1 << order)


def circle(ra: float, dec: float, radius: float, **more: object) -> Field:
    return Field(ra, dec, {"type": "circle", "radius": radius}, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("radius", [0.001, 0.05, 1.2, 20.0, 90.0])
@pytest.mark.parametrize(("ra", "dec"), [(0.0, 0.0), (359.99, 41.0), (123.0, 89.9), (200.0, -90.0)])
def test_a_circle_has_its_area(ra: float, dec: float, radius: float) -> None:
    exact = 2.0 * np.pi * (1.0 - np.cos(np.radians(radius))) * np.degrees(1.0) ** 2
    assert area({"type": "circle", "radius": radius}, ra, dec) == pytest.approx(exact, rel=2e-3)


def turned(ra: float, dec: float, x: np.ndarray, y: np.ndarray) -> list[list[float]]:
    """Places at tangent-plane offsets from a centre, degrees."""
    lon, lat = np.radians(ra), np.radians(dec)
    centre = np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    east = np.array([-np.sin(lon), np.cos(lon), 0.0])
    north = np.cross(centre, east)
    places = hp.vec2ang(centre + np.tan(np.radians(x))[:, None] * east + np.tan(np.radians(y))[:, None] * north, lonlat=True)
    return np.column_stack(places).tolist()


@pytest.mark.parametrize(("ra", "dec"), [(10.0, 0.0), (0.0, 60.0), (77.0, -89.5), (359.0, 12.0)])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_rectangle_has_its_area_whichever_way_it_is_named(ra: float, dec: float, reverse: bool) -> None:
    x, y = np.array([-1.5, 1.5, 1.5, -1.5]), np.array([-1.0, -1.0, 1.0, 1.0])
    corners = turned(ra, dec, x, y)
    exact = 4.0 * np.arcsin(np.sin(np.radians(1.5)) * np.sin(np.radians(1.0)))  # solid angle of a pyramid by its apex angles
    found = area({"type": "polygon", "vertices": corners[::-1] if reverse else corners})
    assert found == pytest.approx(exact * np.degrees(1.0) ** 2, rel=2e-3)
    assert area({"type": "polygon", "vertices": [*corners, corners[0]]}) == found  # a ring that closes itself


def around(corners: int, step: int = 1) -> list[list[float]]:
    """Corners of a regular polygon, or of a star."""
    angle = 2.0 * np.pi * step * np.arange(corners) / corners
    return turned(30.0, 20.0, np.cos(angle), np.sin(angle))


def comb(teeth: int) -> list[list[float]]:
    """A comb two degrees high and wide."""
    x = np.linspace(-1.0, 1.0, 2 * teeth)
    y = np.where(np.arange(2 * teeth) % 2, -0.9, 1.0)
    zigzag = np.column_stack([np.repeat(x, 2)[1:-1], np.repeat(y, 2)[:-2]])
    ring = np.vstack([zigzag, [[1.0, -1.0], [-1.0, -1.0]]])
    return turned(30.0, 20.0, ring[:, 0], ring[:, 1])


def test_a_polygon_with_a_bay() -> None:
    x, y = np.array([0.0, 4.0, 4.0, 2.0, 0.0]), np.array([0.0, 0.0, 4.0, 1.0, 4.0])
    shoelace = 0.5 * abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))
    assert area({"type": "polygon", "vertices": turned(30.0, 20.0, x - 2.0, y - 2.0)}) == pytest.approx(shoelace, rel=5e-3)


def test_the_union_is_what_a_sum_over_cells_says() -> None:
    skymap = from_cone(250.0, -20.0, 6.0)
    rng = np.random.default_rng(20261121)
    fields = [circle(250.0 + rng.normal(0, 4), -20.0 + rng.normal(0, 4), rng.uniform(0.4, 2.0)) for _ in range(25)]
    order = 11
    vectors, prob = cells_near(skymap, order, 250.0, -20.0, 22.0)
    assert prob.sum() == pytest.approx(1.0, abs=1e-3)
    inside = np.zeros(prob.size, np.bool_)
    for one in fields:
        centre = np.array(hp.ang2vec(one.ra, one.dec, lonlat=True))
        inside |= vectors @ centre >= np.cos(np.radians(one.footprint["radius"]))  # type: ignore[index]
    found = covered(fields, skymap)
    assert found.probability == pytest.approx(prob[inside].sum(), abs=3e-4)
    assert found.area == pytest.approx(inside.sum() * hp.nside2pixarea(1 << order, degrees=True), rel=1e-3)
    alone = sum(covered([one], skymap).probability or 0.0 for one in fields)
    assert alone > 1.2 * (found.probability or 0.0)  # they do overlap
    assert covered([*fields, *fields], skymap) == found


def test_rectangles_are_what_a_sum_over_cells_says() -> None:
    skymap = from_cone(83.0, 22.0, 4.0)
    vectors, prob = cells_near(skymap, 13, 83.0, 22.5, 4.0)  # sides run along rows of coarser cells
    inside = np.zeros(prob.size, np.bool_)
    fields = []
    for ra, dec in ((82.0, 22.5), (84.0, 21.5), (83.0, 23.5)):
        corners = turned(ra, dec, np.array([-1.0, 1.0, 1.0, -1.0]), np.array([-0.8, -0.8, 0.8, 0.8]))
        fields.append(Field(ra, dec, {"type": "polygon", "vertices": corners}))
        lon, lat = np.radians(ra), np.radians(dec)
        centre = np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
        east = np.array([-np.sin(lon), np.cos(lon), 0.0])
        north = np.cross(centre, east)
        along = vectors @ centre
        x, y = vectors @ east / along, vectors @ north / along
        inside |= (along > 0) & (np.abs(x) <= np.tan(np.radians(1.0))) & (np.abs(y) <= np.tan(np.radians(0.8)))
    assert covered(fields, skymap).probability == pytest.approx(prob[inside].sum(), abs=3e-4)


def test_the_whole_sky_and_nothing() -> None:
    skymap = from_cone(10.0, 10.0, 5.0)
    whole = covered([circle(10.0, 10.0, 90.0), circle(190.0, -10.0, 90.0)], skymap)
    assert whole.probability == pytest.approx(1.0, abs=1e-9)
    assert whole.area == pytest.approx(41252.96, rel=1e-4)
    assert covered([], skymap) == coverage.Covered(0.0, 0.0)
    assert covered([Field(1.0, 1.0, None)], skymap) == coverage.Covered(0.0, 0.0)
    without = covered([circle(1.0, 1.0, 1.0)], None)
    assert (without.probability, without.area) == (None, pytest.approx(np.pi, rel=1e-3))


def test_limits_and_their_steps() -> None:
    fields = [circle(1, 1, 1, depth=depth, unit="ab_mag") for depth in (20.9, 20.4, 21.0)]
    fields += [circle(1, 1, 1, depth=depth, unit="flux_erg") for depth in (3e-13, 1e-12, 6e-14)] + [circle(1, 1, 1)]
    assert depth_steps(fields) == [
        (20.0, "ab_mag"),
        (20.5, "ab_mag"),
        (21.0, "ab_mag"),
        (1e-12, "flux_erg"),
        (5e-13, "flux_erg"),
        (1e-13, "flux_erg"),
    ]
    reached = {step: sum(deep_enough(one, *step) for one in fields) for step in depth_steps(fields)}
    assert list(reached.values()) == [3, 2, 1, 3, 2, 1]
    assert not deep_enough(fields[-1], 0.0, "ab_mag")


def test_of_many_limits_the_shallowest_are_told() -> None:
    fields = [circle(1, 1, 1, depth=0.5 * number, unit="ab_mag") for number in range(200)]
    fields += [circle(1, 1, 1, depth=10.0**-number, unit="flux_jy") for number in range(100)]
    steps = depth_steps(fields)
    assert steps == [(0.5 * number, "ab_mag") for number in range(40)] + [
        (pytest.approx(10.0**-number), "flux_jy") for number in range(40)
    ]
    assert sum(deep_enough(one, *steps[0]) for one in fields) == 200


@pytest.mark.parametrize(
    ("footprint", "said"),
    [
        ({"type": "polygon", "vertices": [[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]}, "all one place"),
        ({"type": "polygon", "vertices": [[0.0, 0.0], [120.0, 0.0], [240.0, 0.0]]}, "all around the sky"),
        ({"type": "polygon", "vertices": [[0.0, 85.0], [0.0, -85.0], [60.0, 0.0]]}, "further than 80 degrees"),
        ({"type": "polygon", "vertices": [[1.0, 1.0], [2.0, 2.0]]}, "three vertices"),
        ({"type": "polygon", "vertices": [[0.0, 0.0], [1.0, 1.0], [1.0, 0.0], [0.0, 1.0]]}, "crosses itself"),
        ({"type": "polygon", "vertices": [[9e-6, 0.0], [1e-5, 1e-6], [1e-5, 0.0], [9e-6, 1e-6]]}, "crosses itself"),
        ({"type": "polygon", "vertices": around(5, step=2)}, "crosses itself"),
        ({"type": "polygon", "vertices": around(99, step=49)}, "crosses itself"),
        ({"type": "polygon", "vertices": around(101)}, "100 are the most"),
        ({"type": "polygon", "vertices": comb(24)}, "more than 40 times"),
        ({"type": "circle", "radius": 0.0}, "no field"),
        ({"type": "circle", "radius": 200.0}, "no field"),
    ],
)
def test_what_is_no_field(footprint: dict[str, object], said: str) -> None:
    for asked in (field_ranges, coverage.check):
        with pytest.raises(UsageError, match=said):
            asked(10.0, 10.0, footprint)


def test_a_ring_with_a_seam() -> None:
    """A square with a hole, as one outline: edges that touch do not cross."""
    square, hole = [[-2.0, -2.0], [2.0, -2.0], [2.0, 2.0], [-2.0, 2.0]], [[-1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [1.0, -1.0]]
    ring = np.array([*square, square[0], *hole, hole[0]])
    vertices = turned(30.0, 20.0, ring[:, 0], ring[:, 1])
    assert area({"type": "polygon", "vertices": vertices}) == pytest.approx(12.0, rel=5e-3)


def test_the_longest_outlines_have_so_many_cells_and_are_checked_without_them() -> None:
    """What is sent is looked at only: its cells are made where coverage is asked for."""
    before = coverage._polygon.cache_info()
    for teeth in range(2, 15):
        coverage.check(0.0, 0.0, {"type": "polygon", "vertices": comb(teeth)})
    assert coverage._polygon.cache_info() == before
    ranges = field_ranges(0.0, 0.0, {"type": "polygon", "vertices": comb(14)})
    assert 1000 < len(ranges) < 40_000


def test_the_middle_of_a_polygon_across_the_meridian() -> None:
    ra, dec = coverage.middle([[359.0, -1.0], [1.0, -1.0], [1.0, 1.0], [359.0, 1.0]])
    assert min(ra, 360.0 - ra) < 1e-9
    assert abs(dec) < 1e-9
