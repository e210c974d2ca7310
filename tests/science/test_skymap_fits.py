"""Every kind of sky map file is read to the same values; every broken one is refused for what is wrong."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import healpy
import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.errors import SkyMapError
from broker.science import fits_table, sky
from broker.science.skymap import area, distance_moments, levels_at
from broker.science.skymap_fits import read_skymap

ORDER = 5
NPIX = 12 << (2 * ORDER)


def table(columns: dict[str, tuple[str, np.ndarray]], **header: object) -> bytes:
    hdu = fits.BinTableHDU.from_columns([fits.Column(name, form, array=values) for name, (form, values) in columns.items()])
    for key, value in header.items():
        hdu.header[key.replace("_", "-")] = value
    stream = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(stream)
    return stream.getvalue()


def flat(prob: np.ndarray, *, name: str = "PROB", form: str = "D", ordering: str = "NESTED", **header: object) -> bytes:
    width = int(form[:-1] or 1)
    values = prob.reshape(-1, width) if width > 1 else prob
    return table({name: (form, values)}, **{"ORDERING": ordering, "NSIDE": int(np.sqrt(prob.size / 12)), **header})


@pytest.fixture(scope="module")
def prob() -> np.ndarray:
    lon, lat = healpy.pix2ang(1 << ORDER, np.arange(NPIX), nest=True, lonlat=True)
    found = np.exp(-0.5 * (sky.separation(40.0, 20.0, lon, lat) / 9.0) ** 2)
    found *= np.random.default_rng(1).uniform(0.9, 1.1, NPIX)  # no two cells tie but those without probability
    return found / found.sum()


@pytest.fixture(scope="module")
def expected(prob: np.ndarray) -> np.ndarray:
    falling = np.argsort(-prob)
    level = np.empty(NPIX)
    level[falling] = np.cumsum(prob[falling])
    return np.where(prob == 0, 1.0, level)


def levels(data: bytes | Path) -> np.ndarray:
    return levels_at(read_skymap(data), np.arange(NPIX, dtype=np.int64) << (2 * (sky.ORDER - ORDER)))[0]


@pytest.mark.parametrize("name", ["PROB", "PROBABILITY", "T", "prob"])
@pytest.mark.parametrize("form", ["D", "1024D"])
def test_flat_nested(prob: np.ndarray, expected: np.ndarray, name: str, form: str) -> None:
    np.testing.assert_allclose(levels(flat(prob, name=name, form=form)), expected, atol=1e-9)


def test_flat_single_precision(prob: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(levels(flat(prob, form="1024E")), expected, atol=1e-5)


def test_flat_ring(prob: np.ndarray, expected: np.ndarray) -> None:
    ring = healpy.reorder(prob, n2r=True)
    np.testing.assert_allclose(levels(flat(ring, ordering="RING", form="1024D")), expected, atol=1e-9)


def test_flat_density(prob: np.ndarray, expected: np.ndarray) -> None:
    data = flat(prob / (4 * np.pi / NPIX), name="PROBDENSITY")
    np.testing.assert_allclose(levels(data), expected, atol=1e-9)


def test_written_by_healpy(prob: np.ndarray, expected: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "map.fits.gz"
    healpy.write_map(path, prob, nest=True, dtype=np.float64)
    np.testing.assert_allclose(levels(path), expected, atol=1e-9)


def test_partial_sky_written_by_healpy(prob: np.ndarray, expected: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "map.fits"
    rare = expected > 0.999
    healpy.write_map(path, np.where(rare, healpy.UNSEEN, prob), nest=True, dtype=np.float64, partial=True)
    found = levels(path)
    np.testing.assert_allclose(found[~rare], expected[~rare], atol=2e-3)
    assert (found[rare] == 1.0).all()


def test_cells_without_a_value_are_empty(prob: np.ndarray, expected: np.ndarray) -> None:
    rare = expected > 0.9999
    found = levels(flat(np.where(rare, healpy.UNSEEN, prob)))
    assert (found[rare] == 1.0).all()


@pytest.mark.parametrize("zipped", [False, True])
def test_file_and_bytes_gzipped_or_not(prob: np.ndarray, expected: np.ndarray, tmp_path: Path, zipped: bool) -> None:
    data = gzip.compress(flat(prob), 1) if zipped else flat(prob)
    path = tmp_path / "named.anything"
    path.write_bytes(data)
    np.testing.assert_allclose(levels(data), expected, atol=1e-9)
    np.testing.assert_array_equal(levels(path), levels(data))


def multi_order(prob: np.ndarray, form: str = "K", *, shuffle: bool = True) -> dict[str, tuple[str, np.ndarray]]:
    """The map with its southern base cells left at order 3."""
    coarse = 2 * (ORDER - 3)
    fine = np.arange(NPIX * 8 // 12)
    rough = np.arange(NPIX * 8 // 12 >> coarse, NPIX >> coarse)
    uniq = np.concatenate([(4 << (2 * ORDER)) + fine, (4 << 6) + rough])
    mass = np.concatenate([prob[fine], prob.reshape(-1, 1 << coarse).sum(axis=1)[rough]])
    solid = np.concatenate([np.full(fine.size, 4 * np.pi / NPIX), np.full(rough.size, 4 * np.pi / (NPIX >> coarse))])
    order = np.random.default_rng(5).permutation(uniq.size) if shuffle else np.arange(uniq.size)
    return {"UNIQ": (form, uniq[order]), "PROBDENSITY": ("D", (mass / solid)[order])}


def test_multi_order_equals_flat_where_it_is_as_fine(prob: np.ndarray, expected: np.ndarray) -> None:
    found = levels(table(multi_order(prob), ORDERING="NUNIQ", MOCORDER=ORDER))
    dense = (np.arange(NPIX) < NPIX * 8 // 12) & (expected < 0.9)
    assert dense.sum() > 100
    np.testing.assert_allclose(found[dense], expected[dense], atol=2e-3)
    assert read_skymap(table(multi_order(prob))).facts.order == ORDER


def test_uniq_numbers_of_every_order() -> None:
    """One cell of each order, first and last of its kind, so that no number is put in the wrong order."""
    index: list[tuple[int, int]] = []
    for order in range(1, 30):  # the first three quarters of a cell, the last of which is cut again
        index += [(order, 3 - k) for k in range(3)]
    index += [(29, 0), *((0, cell) for cell in range(1, 12))]
    uniq = np.array([(4 << (2 * order)) + cell for order, cell in index])
    data = table({"UNIQ": ("K", uniq), "PROBDENSITY": ("D", np.full(uniq.size, 1 / (4 * np.pi)))})
    found = read_skymap(data)
    assert found.start[0] == 0
    assert found.stop[-1] == sky.NPIX29
    np.testing.assert_array_equal(found.start[1:], found.stop[:-1])
    assert found.facts.order == 29


def test_distances_and_header() -> None:
    prob = np.full(NPIX, 1 / NPIX)
    mu = np.where(np.arange(NPIX) < NPIX / 2, 100.0, 300.0)
    mu[-5:] = np.inf
    columns = {
        "PROB": ("D", prob),
        "DISTMU": ("D", mu),
        "DISTSIGMA": ("D", np.full(NPIX, 5.0)),
        "DISTNORM": ("D", np.full(NPIX, 1e-4)),
    }
    facts = {"ORDERING": "NESTED", "NSIDE": 1 << ORDER, "OBJECT": "S240101ab", "DATE_OBS": "2024-01-01T00:00:00"}
    found = read_skymap(table(columns, **facts))
    assert found.is_3d
    assert found.start.size == 3  # runs of equal cells
    moments = distance_moments(found)
    assert moments is not None
    assert moments[0] == pytest.approx(200.0, rel=0.01)
    assert moments[1] == pytest.approx(100.0, rel=0.01)
    told = read_skymap(table(columns, **facts, DISTMEAN=210.0, DISTSTD=90.0))
    assert distance_moments(told) == (210.0, 90.0)
    assert (told.facts.name, told.facts.time) == ("S240101ab", "2024-01-01T00:00:00")
    assert distance_moments(read_skymap(flat(prob))) is None


@pytest.mark.parametrize(("name", "value"), [("DISTMU", np.inf), ("DISTSIGMA", -1.0), ("DISTNORM", 0.0)])
def test_a_map_none_of_whose_distances_is_one_is_read_without(name: str, value: float) -> None:
    columns = {"PROB": 1 / NPIX, "DISTMU": 100.0, "DISTSIGMA": 5.0, "DISTNORM": 1e-4} | {name: value}
    found = read_skymap(
        table(
            {each: ("D", np.full(NPIX, worth)) for each, worth in columns.items()},
            ORDERING="NESTED",
            NSIDE=1 << ORDER,
            DISTMEAN=100.0,
            DISTSTD=5.0,
        )
    )
    assert not found.is_3d
    assert (found.facts.distmean, distance_moments(found)) == (None, None)


def test_pieces_do_not_change_the_map(prob: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    data = flat(np.repeat(prob[::16], 16) / np.repeat(prob[::16], 16).sum())
    whole = read_skymap(data)
    monkeypatch.setattr(fits_table, "_PIECE", 8 * 7)
    cut = read_skymap(data)
    probe = np.arange(NPIX, dtype=np.int64) << (2 * (sky.ORDER - ORDER))
    np.testing.assert_allclose(levels_at(whole, probe)[0], levels_at(cut, probe)[0], atol=1e-12)
    assert area(whole, 0.9) == pytest.approx(area(cut, 0.9))


def broken() -> dict[str, tuple[bytes, str]]:
    prob = np.full(NPIX, 1 / NPIX)

    def changed(value: float) -> np.ndarray:
        out = prob.copy()
        out[7] = value
        return out

    good = flat(prob)
    orders = multi_order(prob)
    uniq = orders["UNIQ"][1]
    text = table({"PROB": ("8A", np.full(NPIX // 8, "12345678"))}, ORDERING="NESTED", NSIDE=1 << ORDER)
    return {
        "uniq as float": (table(multi_order(prob, "D")), "UNIQ is stored as floating point"),
        "uniq as single float": (table(multi_order(prob, "E")), "UNIQ is stored as floating point"),
        "uniq not a number of a cell": (table({**orders, "UNIQ": ("K", np.where(uniq == uniq[0], 3, uniq))}), "UNIQ number"),
        "uniq negative": (table({**orders, "UNIQ": ("K", -uniq)}), "UNIQ number"),
        "cells twice": (table({**orders, "UNIQ": ("K", np.where(uniq == uniq[0], uniq[1], uniq))}), "overlap"),
        "no rows": (table({name: (form, values[:0]) for name, (form, values) in orders.items()}), "no cells"),
        "coverage": (table({"UNIQ": ("J", uniq)}), "coverage map"),
        "coverage of ranges": (table({"RANGE": ("K", uniq)}), "no table of probabilities"),
        "nan": (flat(changed(np.nan)), "1 cells whose probability is not a finite number"),
        "infinite": (flat(changed(np.inf)), "not a finite number"),
        "negative": (flat(changed(-1e-9)), "1 cells of negative probability"),
        "all zero": (flat(prob * 0), "sum to 0"),
        "counts": (flat(prob * 1e6), "not normalised"),
        "galactic": (flat(prob, COORDSYS="G"), "coordinates 'G'"),
        "no ordering": (table({"PROB": ("D", prob)}, NSIDE=1 << ORDER), "ORDERING ''"),
        "wrong nside": (flat(prob, NSIDE=1 << (ORDER + 1)), "12,288 cells instead of 49,152"),
        "nside no power of two": (flat(prob, NSIDE=33), "NSIDE 33"),
        "text column": (text, "not numeric"),
        "truncated": (good[: len(good) // 2], "truncated"),
        "truncated gzip": (gzip.compress(good)[:-20], "cannot be read|truncated"),
        "header cut": (good[:2880] + good[2880:3000], "no END"),
        "empty": (b"", "not a FITS file"),
        "text": (b"404 not found", "not a FITS file"),
        "gzipped text": (gzip.compress(b"404 not found"), "not a FITS file"),
        "primary only": (good[:2880], "no table of probabilities"),
    }


@pytest.mark.parametrize("name", list(broken()))
def test_broken_map_is_refused_for_what_is_wrong(name: str) -> None:
    data, reason = broken()[name]
    with pytest.raises(SkyMapError, match=reason):
        read_skymap(data)


def test_a_map_larger_than_allowed_is_refused_unread(prob: np.ndarray) -> None:
    head = flat(prob)[: 3 * 2880]
    with pytest.raises(SkyMapError, match=r"98,304 bytes is larger than the 1,000 allowed"):
        read_skymap(head, max_bytes=1000)


@settings(max_examples=150, deadline=None)
@given(place=st.integers(0, 6 * 2880), bit=st.integers(0, 7))
def test_a_flipped_bit_is_a_map_or_a_reason(place: int, bit: int) -> None:
    data = bytearray(table(multi_order(np.full(NPIX, 1 / NPIX)), ORDERING="NUNIQ"))
    data[place] ^= 1 << bit
    try:
        found = read_skymap(bytes(data))
    except SkyMapError:
        return  # anything else is a fault of the reader
    assert found.prob.sum() == pytest.approx(1.0)


@pytest.mark.data
def test_real_maps_load_and_coverage_maps_are_refused(data_dir: Path) -> None:
    folder = data_dir / "skymaps"
    maps = sorted(path for path in folder.iterdir() if path.is_file())
    assert maps
    for path in maps:
        found = read_skymap(path)
        assert found.facts.normalised, path.name
        assert 0 < area(found, 0.5) < area(found, 0.9) < 41253, path.name
        assert found.level.max() == pytest.approx(1.0), path.name
    for path in sorted((folder / "moc").iterdir()):
        with pytest.raises(SkyMapError, match="coverage map"):
            read_skymap(path)


@pytest.mark.data
def test_gw170817_is_where_its_galaxy_is(data_dir: Path) -> None:
    path = next((data_dir / "skymaps").glob("*GW170817_skymap*"), None)
    if path is None:
        pytest.skip("no map of GW170817 here")
    found = read_skymap(path)
    level, _ = levels_at(found, sky.radec_to_hpx([197.450341], [-23.381467]))  # NGC 4993
    assert level[0] < 0.9
    assert 10 < area(found, 0.9) < 40  # 16 square degrees in GWTC-1, 28 at first
    assert distance_moments(found) == pytest.approx((38.03, 7.50), abs=0.01)


def test_a_map_of_too_many_cells_is_refused_by_name_and_one_of_many_alike_is_not(
    prob: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.science.skymap_fits.MAX_CELLS", 5000)
    listed = table(
        {"PIXEL": ("J", np.arange(NPIX)), "PROB": ("D", prob)}, ORDERING="NESTED", NSIDE=1 << ORDER, INDXSCHM="EXPLICIT"
    )
    rough = np.repeat(np.arange(1.0, 769.0), NPIX // 768)
    whole = table({"UNIQ": ("K", (4 << (2 * ORDER)) + np.arange(NPIX)), "PROBDENSITY": ("D", prob / (4 * np.pi / NPIX))})
    for data in (flat(prob), flat(prob, ordering="RING"), listed, whole):
        with pytest.raises(SkyMapError, match="more than 5,000 cells that differ"):
            read_skymap(data)
    assert read_skymap(flat(rough / rough.sum())).start.size == 768


def test_rows_too_long_to_be_read_at_once_are_refused(prob: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fits_table, "_MAX_ROW", 1000)
    assert read_skymap(flat(prob, form="64D")).start.size > 1000
    with pytest.raises(SkyMapError, match="rows of 8,192 bytes"):
        read_skymap(flat(prob, form="1024D"))
