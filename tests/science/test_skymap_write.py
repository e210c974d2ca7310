"""What is written is read again, by us and by others."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import numpy as np
import pytest
from astropy.io import fits

from broker.science import sky
from broker.science.annulus import from_annulus
from broker.science.skymap import SkyMap, area, build, from_cone, levels_at
from broker.science.skymap_fits import read_skymap
from broker.science.skymap_write import write_skymap
from broker.simulate import skymap as simulated

TIME = datetime(2026, 11, 21, 4, tzinfo=UTC)


def merger() -> SkyMap:
    made = simulated.build(simulated.Shape(197, -23, 60, 40, 2.5, 12, 120, 25))
    return read_skymap(simulated.to_fits(made, name="S261121a", time=TIME, made=TIME, instruments=("H1", "L1"), creator="test"))


def partial() -> SkyMap:
    """Ranges that are no cells, and gaps."""
    return build(
        np.array([3, 1 << 50]),
        np.array([1 << 20, (1 << 50) + 12345]),
        np.full(2, 1 / (sky.CELL_AREA * ((1 << 20) - 3 + 12345))),
    )


@pytest.mark.parametrize("make", [merger, partial, lambda: from_cone(10, 20, 3), lambda: from_annulus(10, 20, 30, 1)])
def test_a_map_comes_back(make) -> None:
    given = make()
    found = read_skymap(write_skymap(given))
    places = np.concatenate([given.start, given.stop - 1, (given.start + given.stop) // 2, given.stop])
    places = places[places < sky.NPIX29]
    for old, new in zip(levels_at(given, places), levels_at(found, places), strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-9, atol=1e-9)
    assert int((found.stop - found.start).sum()) == sky.NPIX29
    assert area(found, 0.9) == pytest.approx(area(given, 0.9))


def test_header_and_distances_come_back() -> None:
    given = merger()
    found = read_skymap(write_skymap(given))
    assert (found.facts.name, found.facts.time, found.facts.instruments) == ("S261121a", given.facts.time, "H1,L1")
    assert found.facts.order == given.facts.order
    for name in ("distmu", "distsigma", "distnorm"):
        np.testing.assert_array_equal(getattr(found, name), getattr(given, name))
    assert found.facts.distmean == pytest.approx(given.facts.distmean)


def test_cells_are_sorted_and_names_are_ascii() -> None:
    odd = build(np.array([0]), np.array([sky.NPIX29]), np.array([1 / (4 * np.pi)]))
    object.__setattr__(odd.facts, "name", "Ereignis ä\n")
    with fits.open(io.BytesIO(write_skymap(odd))) as made:
        made.verify("exception")
        assert made[1].header["OBJECT"] == "Ereignis ??"
        assert made[1].data["UNIQ"].tolist() == list(range(4, 16))


@pytest.mark.filterwarnings("ignore")
def test_ligo_skymap_reads_it() -> None:
    pytest.importorskip("ligo.skymap", reason="ligo.skymap is not installed: pip install -e '.[dev]'")
    from ligo.skymap.io import read_sky_map

    theirs = read_sky_map(io.BytesIO(write_skymap(merger())), moc=True)
    assert theirs.colnames == ["UNIQ", "PROBDENSITY", "DISTMU", "DISTSIGMA", "DISTNORM"]
    assert theirs.meta["objid"] == "S261121a"
