"""``python -m consumers.scheduler``, as its users run it, against a running Nuncius."""

from __future__ import annotations

import csv
import io
import itertools
import json
import threading
import tracemalloc
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import healpy
import httpx
import numpy as np
import pytest
from astropy.io import fits
from astropy.time import Time
from typer.testing import CliRunner

from broker.science.skymap_fits import read_skymap
from broker.science.skymap_write import write_skymap
from consumers import cells as mesh
from consumers import night, sites
from consumers.errors import RequestError
from consumers.scheduler.cli import app
from consumers.scheduler.fields import field_of, members
from consumers.scheduler.observed import covered, footprints, split_at_edges
from consumers.scheduler.plan import make
from consumers.scheduler.request import Place, Request
from consumers.scheduler.tiling import tiles
from tests.consumers.event_world import DATE, Told

PNG = b"\x89PNG\r\n\x1a\n"


def run(*arguments: str, status: int = 0) -> Any:
    shown = CliRunner().invoke(app, [*arguments])
    assert shown.exit_code == status, shown.output
    return shown


def plan(world: Told, *arguments: str, site: str = "lapalma", fov: str = "4x3", date: str = DATE) -> Any:
    night_of = ("--date", date, "--start", f"{date}T00:00:00")  # whole, also while it is under way
    return json.loads(run(*night_of, *arguments, "--site", site, "--fov", fov, "--api", world.url, "--json").stdout)


def flattened(data: bytes, order: int) -> list[tuple[int, np.ndarray]]:
    """A map as full-sky arrays, one of each HEALPix order there is: cells coarser than an order are flattened to it."""
    found = mesh.read(data)
    arrays = {}
    for level in np.unique(np.maximum(found.order, order)).tolist():
        flat = np.zeros(healpy.nside2npix(1 << level))
        for depth in np.unique(found.order).tolist():
            rows = found.order == depth
            if max(depth, order) == level:
                spread = 4 ** (level - depth)
                pixels = found.pixel[rows][:, None] * spread + np.arange(spread)
                flat[pixels.ravel()] = np.repeat(found.probability[rows] / spread, spread)
        arrays[level] = flat
    return list(arrays.items())


def summed(data: bytes, order: int, polygons: list[list[list[float]]]) -> float:
    """Probability of the pixels whose centres lie in one polygon at least, by healpy's own polygons on flattened maps."""
    total = 0.0
    for level, flat in flattened(data, order):
        inside = np.zeros(flat.size, np.bool_)
        for vertices in polygons:
            corners = healpy.ang2vec(*np.array(vertices).T, lonlat=True)
            inside[healpy.query_polygon(1 << level, corners, inclusive=False, nest=True)] = True
        total += flat[inside].sum()
    return total


def map_of(world: Told, name: str) -> bytes:
    return httpx.get(f"{world.url}/api/v1/events/{name}/skymap", timeout=60).content


def exposures(found: Any) -> list[Any]:
    rows = [{**one, "ra": tile["ra"], "dec": tile["dec"]} for tile in found["tiles"] for one in tile["observations"]]
    return sorted(rows, key=lambda one: one["number"])


@pytest.mark.parametrize("fov", ["4x3", "2.5", "11x7"])
def test_probability_is_an_independent_sum_over_the_map(world: Told, fov: str):
    found = plan(world, world.arc.name, fov=fov)
    assert len(found["tiles"]) > 3
    data = map_of(world, world.arc.name)
    polygons = [tile["vertices"] for tile in found["tiles"]]
    assert found["probability"]["plan"] == pytest.approx(summed(data, found["healpix_order"], polygons), abs=1e-9)
    for tile in found["tiles"][:4]:
        assert tile["probability"] == pytest.approx(summed(data, found["healpix_order"], [tile["vertices"]]), abs=1e-9)
    assert found["probability"]["map"] == pytest.approx(1.0, abs=1e-9)


def test_a_round_field_is_summed_by_distance(world: Told):
    found = plan(world, world.arc.name, "--circle", fov="3")
    total = 0.0
    for level, flat in flattened(map_of(world, world.arc.name), found["healpix_order"]):
        inside = np.zeros(flat.size, np.bool_)
        for tile in found["tiles"]:
            centre = healpy.ang2vec(tile["ra"], tile["dec"], lonlat=True)
            inside[healpy.query_disc(1 << level, centre, np.radians(1.5), inclusive=False, nest=True)] = True
        total += flat[inside].sum()
    assert found["probability"]["plan"] == pytest.approx(total, abs=1e-9)


@pytest.mark.parametrize(("bands", "between"), [("g,r", 60), ("g,r,g", 0), ("g", 0)])
def test_the_filter_is_changed_back_between_visits(world: Told, bands: str, between: int):
    found = plan(world, world.arc.name, "--filters", bands, "--filter-change", "60", "--slew", "100", "--settle", "1")
    rows, each = exposures(found), len(bands.split(","))
    assert len(rows) > 2 * each
    assert [one["filter"] for one in rows[: 2 * each]] == bands.split(",") * 2
    waits = np.diff(Time([one["start"][:-1] for one in rows]).mjd) * 86400 - rows[0]["exposure"]
    changed = np.array([one["filter"] != after["filter"] for one, after in itertools.pairwise(rows)])
    assert changed.any() == (each > 1)
    assert (waits[changed] >= 60 + 10 - 1.1).all()  # readout; times are told to the second
    assert waits[each - 1 :: each].min() < between + 10 + 10  # and not a second change


def test_the_tiling_holds_the_region_and_the_plan_keeps_the_limits(world: Told):
    found = plan(world, world.arc.name, "--filters", "g,r", "--repeat", "2", "--gap", "20", "--exposure", "40")
    told = found["probability"]
    assert told["tiling"] >= 0.9
    assert 0.0 < told["plan"] <= told["visible"] <= told["tiling"] + 1e-12
    rows = exposures(found)
    assert [one["filter"] for one in rows[:4]] == ["g", "r", "g", "r"]
    site, start, end = sites.find("lapalma"), Time(found["window"]["start"][:-1]), Time(found["window"]["end"][:-1])
    begins, ends = (Time([one[key][:-1] for one in rows]) for key in ("start", "end"))
    assert (begins[0] - start).sec >= -1
    assert (ends[-1] - end).sec <= 1
    assert (np.diff(begins.mjd) * 86400 >= 40 + 10 - 1.1).all()  # exposure and readout; times are told to the second
    for moment in (begins, ends):
        high = night.altitude(site, [one["ra"] for one in rows], [one["dec"] for one in rows], moment)
        assert high.min() >= 30.0 - 0.05
        assert night.airmass(high).max() <= 2.5
        assert night.sun_altitude(site, moment).max() <= -18.0 + 0.02
    apart = night.moon_separation(site, [one["ra"] for one in rows], [one["dec"] for one in rows], begins)
    assert apart[night.moon_altitude(site, begins) > 0].min(initial=180.0) >= 19.9
    vectors = night.directions([one["ra"] for one in rows], [one["dec"] for one in rows])
    moved = np.degrees(np.arccos(np.clip((vectors[1:] * vectors[:-1]).sum(axis=1), -1, 1)))
    free = (begins[1:] - ends[:-1]).sec - 10.0
    far = moved > 1e-3
    assert (free[far] >= moved[far] + 5.0 - 2.1).all()
    for tile in found["tiles"]:
        seen = tile["observations"]
        assert [one["visit"] for one in seen] == [1, 1, 2, 2]
        assert (Time(seen[2]["start"][:-1]) - Time(seen[1]["end"][:-1])).to_value("min") >= 20.0 - 0.05


def test_a_small_map_gets_one_field_where_it_holds_the_most(world: Told):
    found = plan(world, world.spot.name, fov="2")
    assert len(found["tiles"]) == 1
    tile = found["tiles"][0]
    data = map_of(world, world.spot.name)
    cells = mesh.split(mesh.read(data), 7)
    cells = cells[cells.vectors @ healpy.ang2vec(tile["ra"], tile["dec"], lonlat=True) > np.cos(np.radians(4))]
    cells = mesh.split(cells, 12)
    vectors = cells.vectors
    best = 0.0
    for shift_ra in np.linspace(-0.4, 0.4, 9):
        for shift_dec in np.linspace(-0.4, 0.4, 9):
            ra, dec = tile["ra"] + shift_ra / np.cos(np.radians(tile["dec"])), tile["dec"] + shift_dec
            east = np.array([-np.sin(np.radians(ra)), np.cos(np.radians(ra)), 0.0])
            centre = healpy.ang2vec(ra, dec, lonlat=True)
            north = np.cross(centre, east)
            along = vectors @ centre
            inside = (along > 0) & (np.abs(vectors @ east) <= np.tan(np.radians(1)) * along)
            inside &= np.abs(vectors @ north) <= np.tan(np.radians(1)) * along
            best = max(best, float(cells.probability[inside].sum()))
    assert tile["probability"] >= best - 2e-3
    assert tile["probability"] > 0.9
    assert any("one field" in note for note in found["notes"])


def test_fields_of_the_telescope(world: Told, tmp_path: Path):
    file = tmp_path / "fields.csv"
    grid = [
        (number, ra, dec)
        for number, (ra, dec) in enumerate((r + 0.123, d + 0.057) for d in range(-60, 61, 4) for r in range(0, 360, 5))
    ]
    file.write_text("ID,RA,Dec\n" + "\n".join(f"{number},{ra},{dec}" for number, ra, dec in grid))
    found = plan(world, world.arc.name, "--fields", str(file), fov="5x4")
    given = {number: (ra, dec) for number, ra, dec in grid}
    assert found["tiles"]
    assert all((tile["ra"], tile["dec"]) == given[tile["field_id"]] for tile in found["tiles"])
    polygons = [tile["vertices"] for tile in found["tiles"]]
    independent = summed(map_of(world, world.arc.name), found["healpix_order"], polygons)
    assert found["probability"]["plan"] == pytest.approx(independent, abs=1e-9)
    first = found["tiles"][0]["field_id"]
    file.write_text(f"id,ra,dec\n{first},{given[first][0]},{given[first][1]}\n")
    alone = plan(world, world.arc.name, "--fields", str(file), fov="5x4")
    assert [tile["field_id"] for tile in alone["tiles"]] == [first]
    file.write_text("id,ra,dec\n1,200,-80\n")
    assert "touches the map" in plan(world, world.arc.name, "--fields", str(file), fov="1")["reason"]


def test_galaxies_are_looked_at_by_how_likely_they_are(world: Told):
    asked = ("--galaxies", "12", "--catalog", "grid")
    found = plan(world, world.arc.name, *asked, fov="0.25")
    likely = httpx.get(
        f"{world.url}/api/v1/events/{world.arc.name}/galaxies", params={"limit": 12, "catalog": "grid"}, timeout=30
    ).json()["items"]
    known = {one["id"]: one for one in likely}
    assert found["tiles"]
    for tile in found["tiles"]:
        galaxy = known[tile["field_id"]]
        assert (tile["ra"], tile["dec"]) == (galaxy["ra"], galaxy["dec"])
        assert tile["galaxy_probability"] == galaxy["probability"]
    places = {(one["ra"], one["dec"]) for one in likely}
    assert len(found["tiles"]) == len(places)  # two at one place are seen at once
    together = plan(world, world.arc.name, *asked, fov="3")
    assert len(together["tiles"]) == 1


def polygon(ra: float, dec: float, half: float) -> dict[str, Any]:
    wide = half / np.cos(np.radians(dec))
    corners = [[ra + x * wide, dec + y * half] for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    return {"ra": ra, "dec": dec, "status": "completed", "footprint": {"type": "polygon", "vertices": corners}}


def planned_here(data: bytes, prints: list[Any], fov: str = "3x2") -> Any:
    site = sites.find("lapalma")
    window = night.dark(site, night.evening(site, DATE))
    return make(mesh.read(data), Request(site, field_of(fov)), window, prints)


def test_what_was_observed_is_left_out(world: Told):
    data = map_of(world, world.arc.name)
    whole = planned_here(data, [])
    best = whole.visits[0].place
    circle = {"ra": best.ra, "dec": best.dec, "footprint": {"type": "circle", "radius": 4.0}}
    for status, planned, left_out in (
        ("completed", False, True),
        ("planned", False, False),
        ("planned", True, True),
        ("cancelled", True, False),
    ):
        prints = footprints([circle | {"status": status}], planned=planned)
        found = planned_here(data, prints)
        apart = (
            healpy.ang2vec(best.ra, best.dec, lonlat=True)
            @ night.directions([one.place.ra for one in found.visits], [one.place.dec for one in found.visits]).T
        )
        assert bool(np.degrees(np.arccos(np.clip(apart, -1, 1))).min() > 1.5) is left_out
        assert (found.probability["observed"] > 0.0) is left_out
        if not left_out:
            assert found.probability["new"] == found.probability["plan"]
    assert footprints([circle | {"status": "completed", "footprint": None}]) == []


def test_sums_of_what_was_observed_are_independent_sums(world: Told):
    data = map_of(world, world.arc.name)
    best = planned_here(data, []).visits[0].place
    observed = [polygon(best.ra, best.dec, 1.5), polygon(best.ra + 2.0, best.dec + 1.0, 1.7)]
    found = planned_here(data, footprints(observed))
    before = [one["footprint"]["vertices"] for one in observed]
    field = field_of("3x2")
    places = {one.place.name: one.place for one in found.visits}.values()
    ours = [np.column_stack(field.outline(one.ra, one.dec)).tolist() for one in places]
    assert found.probability["observed"] == pytest.approx(summed(data, found.order, before), abs=1e-9)
    assert found.probability["plan"] == pytest.approx(summed(data, found.order, ours), abs=1e-9)
    assert found.probability["total"] == pytest.approx(summed(data, found.order, before + ours), abs=1e-9)
    new = found.probability["total"] - found.probability["observed"]
    assert found.probability["new"] == pytest.approx(new, abs=1e-12)


SHAPES = {
    "circle": {"type": "circle", "radius": 3.0},
    "polygon": {"type": "polygon", "vertices": [[57, 12], [63, 12], [63.5, 18], [60, 14], [57, 18]]},
}


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_what_a_wide_camera_observed_is_cut_along_its_edges_alone_and_its_sum_is_the_same(shape: str):
    """The tenth of a degree of the telescope wants cells of order 14: 2 million in each of these footprints."""
    pixels = np.arange(12 * 4**6)
    rng = np.random.default_rng(5)
    sky = mesh.Cells(np.full(pixels.size, 6), pixels, rng.dirichlet(np.ones(pixels.size)))
    fields = [Place(1, 60.0, 13.0), Place(2, 60.0, 16.5), Place(3, 57.03, 12.5), Place(4, 80.0, 0.0)]
    seen = {"ra": 60.0, "dec": 15.0, "status": "completed", "footprint": SHAPES[shape]}
    other = {"ra": 62.0, "dec": 14.0, "status": "completed", "footprint": {"type": "circle", "radius": 1.5}}
    prints = footprints([seen, seen, other])
    found = make(sky, Request(sites.find("lapalma"), field_of("0.1"), places=fields), None, prints)
    assert found.order == 14
    assert len(found.cells) < 200_000
    nside = 1 << found.order
    round_ = healpy.query_disc(nside, healpy.ang2vec(62.0, 14.0, lonlat=True), np.radians(1.5), inclusive=False, nest=True)
    if shape == "circle":
        inside = healpy.query_disc(nside, healpy.ang2vec(60.0, 15.0, lonlat=True), np.radians(3.0), inclusive=False, nest=True)
    else:  # healpy's polygons are convex
        corners = healpy.ang2vec(*np.array(SHAPES[shape]["vertices"]).T, lonlat=True)
        parts = [healpy.query_polygon(nside, corners[list(part)], nest=True) for part in ((0, 1, 3), (1, 2, 3), (3, 4, 0))]
        inside = np.concatenate(parts)
    both = np.unique(np.concatenate([inside, round_]))
    independent = (sky.probability[both >> 2 * (found.order - 6)] / 4.0 ** (found.order - 6)).sum()
    assert found.probability["observed"] == pytest.approx(independent, abs=1e-9)
    assert found.probability["map"] == pytest.approx(1.0, abs=1e-12)


def test_a_footprint_of_half_the_sky_is_no_burden_for_a_narrow_camera():
    pixels = np.arange(12 * 4**5)
    sky = mesh.Cells(np.full(pixels.size, 5), pixels, np.full(pixels.size, 1.0 / pixels.size))
    prints = footprints([{"ra": 40, "dec": -30, "status": "completed", "footprint": {"type": "circle", "radius": 80}}])
    tracemalloc.start()
    found = make(sky, Request(sites.find("lapalma"), field_of("0.1"), places=[Place(1, 60.0, 15.0)]), None, prints)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found.cells) < 1_000_000  # all of it would be a thousand times as many
    assert peak < 500e6
    assert found.probability["observed"] == pytest.approx((1.0 - np.cos(np.radians(80.0))) / 2.0, rel=1e-5)
    few, reached = split_at_edges(sky, prints, 14, most=20_000)
    assert reached < 14
    assert len(few) < 12 * 4**5 + 4 * 20_000
    assert float(few.probability[covered(few, prints)].sum()) == pytest.approx(found.probability["observed"], rel=1e-3)


def test_a_galaxy_where_the_map_has_nothing_was_not_observed_with_what_lies_before_it():
    order = 4
    pixel = int(healpy.ang2pix(1 << order, 60.0, 15.0, nest=True, lonlat=True))
    sky = mesh.Cells(np.array([order]), np.array([pixel]), np.array([1.0]))
    centre, behind = sky[0:1].position, mesh.Cells(np.array([order]), np.array([pixel + 1]), np.array([0.0])).position
    here, there = (Place(name, float(at[0][0]), float(at[1][0]), 0.5) for name, at in (("here", centre), ("there", behind)))
    site = sites.find("lapalma")
    window = night.dark(site, night.evening(site, DATE))
    request = Request(site, field_of("0.25"), places=[here, there], galaxies=True)
    seen = {"ra": here.ra, "dec": here.dec, "status": "completed", "footprint": {"type": "circle", "radius": 1.0}}
    assert {one.place.name for one in make(sky, request, window, footprints([seen])).visits} == {"there"}
    assert {one.place.name for one in make(sky, request, window).visits} == {"here", "there"}


def test_what_observers_report_is_left_out(world: Told):
    before = plan(world, world.arc.name)
    tile = before["tiles"][0]
    sent = {
        "time": "2026-11-20T22:00:00Z",
        "ra": tile["ra"],
        "dec": tile["dec"],
        "footprint": {"type": "polygon", "vertices": tile["vertices"]},
        "telescope": "One",
        "status": "completed",
    }
    address = f"{world.url}/api/v1/events/{world.arc.name}/observations"
    answer = httpx.post(address, json={"observations": [sent]}, timeout=30)
    assert answer.status_code == 201, answer.text
    after = plan(world, world.arc.name)
    assert after["probability"]["observed"] == pytest.approx(tile["probability"], abs=1e-4)
    assert tile["field_id"] not in [one["field_id"] for one in after["tiles"]]
    ignoring = plan(world, world.arc.name, "--ignore-observed")
    assert ignoring["probability"] == before["probability"]


def test_a_map_that_was_observed_whole_leaves_nothing(world: Told):
    data = map_of(world, world.spot.name)
    everything = {
        "ra": world.spot.ra,
        "dec": world.spot.dec,
        "status": "completed",
        "footprint": {"type": "circle", "radius": 90},
    }
    found = planned_here(data, footprints([everything]))
    assert found.visits == ()
    assert "nothing is left to observe" in found.reason


@pytest.mark.parametrize(
    "shape",
    [
        {"type": "star"},
        {"type": "circle"},
        {"type": "polygon", "vertices": [[0, 0], [1, 1]]},
        {"type": "polygon", "vertices": [[0, 0], [120, 0], [240, 0]]},
    ],
)
def test_a_footprint_that_is_none_is_told(shape: dict[str, Any]):
    with pytest.raises(RequestError, match="footprint"):
        footprints([{"ra": 1, "dec": 2, "status": "completed", "footprint": shape}])


def test_concave_polygons_and_the_pole():
    prints = footprints(
        [
            {
                "ra": 0,
                "dec": 0,
                "status": "completed",
                "footprint": {"type": "polygon", "vertices": [[0, 0], [4, 0], [4, 4], [2, 1], [0, 4]]},
            },
            {
                "ra": 0,
                "dec": 90,
                "status": "completed",
                "footprint": {"type": "polygon", "vertices": [[0, 85], [90, 85], [180, 85], [270, 85]]},
            },
        ]
    )
    vectors = night.directions([1, 2, 2, 0.5, 10, 200], [1, 0.5, 3, 3, 89, 80])
    assert prints[0].inside(vectors).tolist() == [True, True, False, True, False, False]
    assert prints[1].inside(vectors).tolist() == [False, False, False, False, True, False]


def test_an_empty_map_is_told():
    with pytest.raises(RequestError, match="the map is empty"):
        mesh.read(fits_of(np.arange(4 * 64, 16 * 64), np.zeros(12 * 64)))
    for data in (b"", b"nonsense", fits_of(np.array([1, 2]), np.ones(2))):
        with pytest.raises(RequestError, match="no multi-order map"):
            mesh.read(data)


def test_a_map_of_densities_that_are_no_numbers_is_told_as_what_it_is():
    with pytest.raises(RequestError, match="densities that are no numbers"):
        mesh.read(fits_of(np.arange(4 * 64, 16 * 64), np.full(12 * 64, np.nan)))


def fits_of(uniq: np.ndarray, density: np.ndarray) -> bytes:
    columns = [fits.Column("UNIQ", "K", array=uniq), fits.Column("PROBDENSITY", "D", array=density)]
    out = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)]).writeto(out)
    return out.getvalue()


@pytest.mark.parametrize("field", ["5", "60", "20x7", "7x20", "47x30", "4x40"])
@pytest.mark.parametrize("circle", [False, True])
def test_a_tiling_of_the_whole_sky_leaves_no_gap_and_is_frugal(field: str, circle: bool):
    fov = field_of(field.split("x", maxsplit=1)[0] if circle else field, circle=circle)
    order = 7
    pixels = np.arange(12 * 4**order)
    sky = mesh.Cells(np.full(pixels.size, order), pixels, np.full(pixels.size, 1.0 / pixels.size))
    ra, dec = tiles(fov, sky, 0.0)
    assert members(fov, ra, dec, sky).any_of(list(range(ra.size)), pixels.size).all()
    area = 41252.96 / fov.area
    assert area <= ra.size <= 2.6 * area + 12  # the square within a circle has 64 % of it; caps cost some
    overlapping, _ = tiles(fov, sky, 0.2)
    assert overlapping.size > ra.size


def test_cells_are_split_and_put_together_without_loss():
    rng = np.random.default_rng(3)
    cells = mesh.Cells(np.full(12 * 4**3, 3), np.arange(12 * 4**3), rng.random(12 * 4**3))
    fine = mesh.split(cells, 5)
    assert len(fine) == 12 * 4**5
    assert (np.diff(fine.start) > 0).all()
    back = mesh.coarser(fine, 3)
    assert back.pixel[np.argsort(back.pixel)].tolist() == cells.pixel.tolist()
    assert back.probability[np.argsort(back.pixel)] == pytest.approx(cells.probability, rel=1e-12)
    some = mesh.split(cells, 6, np.array([[cells.start[5], cells.start[5] + 1]]))
    assert some.probability.sum() == pytest.approx(cells.probability.sum(), rel=1e-12)
    assert len(some) == len(cells) + 3 * 3  # one cell, three times


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "fov", "site", "date"),
    [
        ("plasticc_alerts__eaac7a62__S190814bv-bayestar.multiorder.fits", "1.5", "paranal", "2026-10-01"),
        ("MMA_Demos__2a0b27bb__GW170817_skymap.fits.gz", "3x2", "lasilla", "2026-05-01"),
        ("growth-too-marshal__fa45e525__glg_healpix_all_bn180116026.fit", "10", "lapalma", "2026-04-01"),
        ("gwcelery__482782ee__MS220722v_bayestar.multiorder.fits", "4", "paranal", "2026-11-21"),
    ],
)
def test_real_maps(data_dir: Path, name: str, fov: str, site: str, date: str):
    data = write_skymap(read_skymap(data_dir / "skymaps" / name))
    where = sites.find(site)
    found = make(mesh.read(data), Request(where, field_of(fov)), night.dark(where, night.evening(where, date)))
    assert found.visits, found.reason
    assert found.probability["tiling"] >= 0.9
    field = field_of(fov)
    places = {one.place.name: one.place for one in found.visits}.values()
    ours = [np.column_stack(field.outline(one.ra, one.dec)).tolist() for one in places]
    assert found.probability["plan"] == pytest.approx(summed(data, found.order, ours), abs=1e-9)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b\n1,2\n", "no column dec, id, ra"),
        ("id,ra,dec\n1,2\n", "line 2"),
        ("id,ra,dec\n1,2,x\n", "line 2"),
        ("id,ra,dec\n1,2,95\n", "no place on the sky"),
        ("id,ra,dec\n1,2,3\n1,2,4\n", "twice"),
        ("id,ra,dec\n,2,3\n", "no id"),
        ("id,ra,dec\n", "no fields"),
    ],
)
def test_a_list_of_fields_that_is_wrong(world: Told, tmp_path: Path, text: str, says: str):
    file = tmp_path / "fields.csv"
    file.write_text(text)
    shown = run(world.arc.name, "--site", "lapalma", "--fov", "2", "--fields", str(file), "--api", world.url, status=2)
    assert says in shown.output


def test_every_form_of_a_plan_says_the_same(world: Told, tmp_path: Path):
    files = {name: tmp_path / name for name in ("plan.json", "plan.csv", "queue.json", "plan.png")}
    shown = run(
        world.arc.name, "--site", "lapalma", "--fov", "6", "--date", DATE, "--start", f"{DATE}T00:00:00", "--api", world.url,
        "--filters", "g,r", "--out", str(files["plan.json"]), "--csv", str(files["plan.csv"]),
        "--queue", str(files["queue.json"]), "--program-pi", "Galilei", "--plot", str(files["plan.png"]),
    )  # fmt: skip
    found = json.loads(files["plan.json"].read_text())
    assert found["schema"] == "nuncius.schedule/1"
    assert found["event"]["name"] == world.arc.name
    rows = list(csv.DictReader(files["plan.csv"].read_text().splitlines()))
    queue = json.loads(files["queue.json"].read_text())
    expected = exposures(found)
    assert len(rows) == len(queue["targets"]) == len(expected) > 4
    for row, target, one in zip(rows, queue["targets"], expected, strict=True):
        assert (float(row["ra"]), row["filter"], row["start"]) == (one["ra"], one["filter"], one["start"])
        assert set(target) == {"request_id", "field_id", "ra", "dec", "filter", "exposure_time", "program_pi"}
        assert (target["ra"], target["dec"], target["filter"]) == (one["ra"], one["dec"], one["filter"])
        assert target["program_pi"] == "Galilei"
    assert queue["queue_name"] == f"{world.arc.name}-lapalma"
    start, end = queue["validity_window_mjd"]
    assert start < end
    assert start <= Time(rows[0]["start"][:-1]).mjd + 1e-5
    assert files["plan.png"].read_bytes().startswith(PNG)
    assert f"{found['probability']['plan']:.2%}" in shown.stdout


def test_places_without_a_night_or_a_sight_of_it_give_an_empty_plan_that_says_why(world: Told, tmp_path: Path):
    for site, says in (("south_pole", "does not go below"), ("cape=0,-85,0", "no night"), ("low=170,-40,0", "never up")):
        picture = tmp_path / "empty.png"
        found = plan(world, world.spot.name, "--plot", str(picture), site=site, fov="2")
        assert found["tiles"] == []
        assert says in found["reason"]
        assert found["probability"]["plan"] == 0.0
        assert picture.read_bytes().startswith(PNG)
    shown = run(world.spot.name, "--site", "south_pole", "--fov", "2", "--date", DATE, "--api", world.url)
    assert "nothing to observe: no night at south_pole" in shown.stdout


def test_time_that_is_asked_for(world: Told):
    whole = plan(world, world.arc.name)
    first = whole["window"]["start"]
    short = plan(world, world.arc.name, "--start", first, "--end", f"{first[:11]}23:30:00Z")
    assert short["window"]["start"] == first
    assert exposures(short)
    assert exposures(short)[-1]["end"] <= f"{first[:11]}23:30:00Z"
    gone = plan(world, world.arc.name, "--start", f"{DATE[:8]}22T11:00:00")
    assert gone["tiles"] == []
    assert "nothing of the night at lapalma is left" in gone["reason"]
    few = plan(world, world.arc.name, "--max-fields", "2")
    assert len(few["tiles"]) == 2
    assert few["probability"]["plan"] < whole["probability"]["plan"]
    late = plan(world, world.arc.name, "--repeat", "20", "--gap", "600")
    assert late["tiles"] == []
    assert "20 times" in late["reason"]


@pytest.mark.parametrize(
    ("now", "start"),
    [
        ("2026-11-22T02:00:00", "2026-11-22T02:00:00Z"),
        ("2026-11-20T12:00:00", None),
        ("2026-11-22T12:00:00", None),
    ],
)
def test_of_a_night_under_way_what_is_left_is_planned(
    world: Told, monkeypatch: pytest.MonkeyPatch, now: str, start: str | None
):
    monkeypatch.setattr(Time, "now", classmethod(lambda cls, **_: cls(now, scale="utc")))
    asked = (world.arc.name, "--site", "lapalma", "--fov", "6", "--date", DATE, "--api", world.url, "--json")
    window = json.loads(run(*asked).stdout)["window"]
    whole = json.loads(run(*asked, "--start", f"{DATE}T00:00:00").stdout)["window"]
    assert window == {"start": start or whole["start"], "end": whole["end"]}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--fov", "0"), "1 arcminute to 60"),
        (("--fov", "-2"), "1 arcminute to 60"),
        (("--fov", "61"), "1 arcminute to 60"),
        (("--fov", "2x80"), "1 arcminute to 60"),
        (("--fov", "wide"), "is no field"),
        (("--fov", "1x2x3"), "is no field"),
        (("--fov", "nan"), "1 arcminute to 60"),
        (("--fov", "2", "--circle", "--fields", "a.csv", "--galaxies", "3"), "two ways"),
        (("--fov", "2", "--filters", "g,,r"), "--filters"),
        (("--fov", "2", "--start", "now-ish"), "is no time"),
        (("--fov", "2", "--start", "2026-11-22", "--end", "2026-11-21"), "is not before"),
        (("--fov", "2", "--date", "tomorrow"), "is no time"),
        (("--fov", "2", "--date", "9999-12-31"), "from 1972 to 2098"),
        (("--fov", "2", "--start", "1850-01-01"), "from 1972 to 2098"),
        (("--fov", "2", "--fields", "/no/such.csv"), "such.csv"),
    ],
)
def test_wrong_use_is_told(world: Told, arguments: tuple[str, ...], says: str):
    shown = CliRunner().invoke(app, [world.arc.name, "--site", "lapalma", "--api", world.url, *arguments])
    assert shown.exit_code in {1, 2}
    assert says in " ".join(shown.output.split())


def test_events_that_cannot_be_planned_for(world: Told):
    common = ("--site", "lapalma", "--fov", "2", "--date", DATE, "--api", world.url)
    assert "has no sky map" in run(world.bare, *common, status=2).output
    assert "--even-retracted" in run(world.back.name, *common, status=2).output
    assert "S000000x" in run("S000000x", *common, status=2).output
    assert json.loads(run(world.back.name, *common, "--even-retracted", "--json").stdout)["event"]["state"] == "retracted"
    assert "no catalogue 'glade'" in run(world.arc.name, *common, "--galaxies", "5", status=2).output
    away = run(world.arc.name, "--site", "lapalma", "--fov", "2", "--api", "http://127.0.0.1:1", status=1)
    assert "nuncius serve" in away.output


def test_observations_that_are_not_told_are_not_taken_for_none(world: Told):
    root = f"/api/v1/events/{world.spot.name}"
    event = httpx.get(f"{world.url}{root}", timeout=30).json()

    class Old(BaseHTTPRequestHandler):
        """A broker that keeps no observations."""

        def do_GET(self) -> None:
            body = {root: json.dumps(event).encode(), f"{root}/skymap": map_of(world, world.spot.name)}.get(self.path)
            self.send_response(200 if body else 404)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Old) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        asked = (world.spot.name, "--site", "south_pole", "--fov", "2", "--date", DATE)
        asked += ("--api", f"http://127.0.0.1:{server.server_address[1]}")
        assert "--ignore-observed" in run(*asked, status=2).output
        assert "no night at south_pole" in run(*asked, "--ignore-observed").stdout
        server.shutdown()


def test_help_has_an_example():
    shown = " ".join(run("--help").stdout.replace("│", " ").split())
    assert "python -m consumers.scheduler S240422ed" in shown
    assert "[sites.<name>]" in shown
