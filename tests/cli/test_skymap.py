"""``nuncius skymap``: every verb on maps made here, what is refused, and exit statuses."""

from __future__ import annotations

import base64
import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import healpy
import numpy as np
import pytest
from astropy.io import fits
from mocpy import MOC

from broker.cli.app import run
from broker.science import sky
from broker.science.moc import moc_of
from broker.science.skymap import area, from_cone, levels_at
from broker.science.skymap_fits import read_skymap
from broker.science.skymap_write import write_skymap
from broker.science.volume import volume_levels_at
from broker.simulate import skymap as simulated

TIME = datetime(2026, 11, 21, 4, tzinfo=UTC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 3D map as ``gw.fits`` and a circle as ``circle.fits``."""
    made = tmp_path_factory.mktemp("maps")
    shape = simulated.Shape(ra=197, dec=-23, radius=60, bearing=40, width=2.5, length=12, distance=120, spread=25)
    data = simulated.to_fits(simulated.build(shape), name="S261121a", time=TIME, made=TIME, instruments=("H1",), creator="test")
    (made / "gw.fits").write_bytes(data)
    (made / "circle.fits").write_bytes(write_skymap(from_cone(200.0, -20.0, 4.0)))
    return made


def as_json(capsys: pytest.CaptureFixture[str]) -> dict:
    return json.loads(capsys.readouterr().out)


def test_info(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["skymap", "info", str(folder / "gw.fits"), "--json"]) == 0
    told, skymap = as_json(capsys), read_skymap(folder / "gw.fits")
    assert told["order"] == skymap.facts.order
    assert told["area50"] == pytest.approx(area(skymap, 0.5))
    assert told["area90"] == pytest.approx(area(skymap, 0.9))
    assert told["distmean"] == pytest.approx(130, rel=0.15)
    assert told["diststd"] > 0
    assert told["normalised"] is True
    assert run(["skymap", "info", str(folder / "circle.fits"), "--json"]) == 0
    told = as_json(capsys)
    assert (told["distmean"], told["diststd"]) == (None, None)
    assert run(["skymap", "info", str(folder / "gw.fits")]) == 0
    assert "deg²" in capsys.readouterr().out


def test_info_of_a_notice_with_a_map(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notice = {"mission": "EP", "healpix_file": base64.b64encode((folder / "circle.fits").read_bytes()).decode()}
    file = tmp_path / "notice.json"
    file.write_text(json.dumps(notice | {"alert_datetime": "2026-11-21T04:00:00Z"}))
    assert run(["skymap", "info", str(file), "--json"]) == 0
    from_map = as_json(capsys)["area90"]
    circle = {"mission": "EP", "alert_datetime": "2026-11-21T04:00:00Z", "ra": 200.0, "dec": -20.0, "ra_dec_error": 4.0}
    file.write_text(json.dumps(circle))
    assert run(["skymap", "info", str(file), "--json"]) == 0
    assert as_json(capsys)["area90"] == pytest.approx(from_map, rel=1e-6)
    file.write_text(json.dumps({"mission": "EP", "alert_datetime": "2026-11-21T04:00:00Z"}))
    assert run(["skymap", "info", str(file), "--json"]) == 1
    assert "neither a sky map nor" in as_json(capsys)["error"]


def flat(path: Path, prob: np.ndarray, form: str = "D", **header: object) -> Path:
    hdu = fits.BinTableHDU.from_columns([fits.Column("PROB", form, array=prob)])
    hdu.header.update({"ORDERING": "NESTED", "NSIDE": round(np.sqrt(prob.size / 12)), **header})
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    return path


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({3: np.nan}, "not a finite number"),
        ({3: np.inf}, "not a finite number"),
        ({3: -0.1}, "negative"),
        ({3: 4.0}, "not normalised"),
    ],
    ids=["nan", "inf", "negative", "sum"],
)
def test_a_refused_map_is_told_why(change: dict, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prob = np.full(192, 1 / 192)
    for place, value in change.items():
        prob[place] = value
    assert run(["skymap", "info", str(flat(tmp_path / "map.fits", prob)), "--json"]) == 1
    told = capsys.readouterr()
    assert reason in json.loads(told.out)["error"]
    assert reason in " ".join(told.err.split())


def test_floating_uniq_and_what_is_no_map(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    columns = [
        fits.Column("UNIQ", "D", array=np.arange(4.0, 16.0)),
        fits.Column("PROBDENSITY", "D", array=np.ones(12) / 12.566),
    ]
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)]).writeto(tmp_path / "floats.fits")
    (tmp_path / "text.fits").write_text("this is not a map, but long enough to look like something")
    (tmp_path / "empty.fits").write_bytes(b"")
    for name, reason in (
        ("floats", "UNIQ is stored as floating point"),
        ("text", "neither a FITS"),
        ("empty", "neither a FITS"),
    ):
        assert run(["skymap", "info", str(tmp_path / f"{name}.fits"), "--json"]) == 1
        assert reason in as_json(capsys)["error"]


def test_levels_of_points(folder: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    points = tmp_path / "points.csv"
    points.write_text("id,ra,dec,distance\n2445391170915015005,197.0,-23.0,120\nb, 10.5 ,45,\nc,197,-22,1e9\n")
    assert run(["skymap", "level", str(folder / "gw.fits"), str(points)]) == 0
    rows = list(csv.DictReader(io.StringIO(capfdbinary.readouterr().out.decode())))
    assert [row["id"] for row in rows] == ["2445391170915015005", "b", "c"]
    skymap, hpx = read_skymap(folder / "gw.fits"), sky.radec_to_hpx([197.0, 10.5, 197.0], [-23.0, 45.0, -22.0])
    np.testing.assert_allclose([float(row["credible_level"]) for row in rows], levels_at(skymap, hpx)[0])
    assert float(rows[0]["credible_level_volume"]) == pytest.approx(volume_levels_at(skymap, hpx[:1], [120.0])[0])
    assert rows[1]["credible_level_volume"] == ""
    assert float(rows[2]["credible_level_volume"]) == 1.0
    assert run(["skymap", "level", str(folder / "circle.fits"), str(points), "--out", str(tmp_path / "out.csv")]) == 0
    assert (tmp_path / "out.csv").read_text().splitlines()[0] == "id,ra,dec,distance,credible_level"


@pytest.mark.parametrize("text", ["ra,de\n1,2\n", "ra,dec\n1,x\n", "ra,dec\n1,\n", "ra,dec,distance\n1,2,far\n", ""])
def test_wrong_points_are_wrong_use(folder: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "points.csv").write_text(text)
    assert run(["skymap", "level", str(folder / "gw.fits"), str(tmp_path / "points.csv")]) == 2


def test_pictures(folder: Path, tmp_path: Path) -> None:
    points = tmp_path / "points.csv"
    points.write_text("name,ra,dec\nAT 2026abc,197,-23\n")
    whole, closer = tmp_path / "map.png", tmp_path / "map.svg"
    assert run(["skymap", "plot", str(folder / "gw.fits"), "--out", str(whole)]) == 0
    assert whole.read_bytes().startswith(b"\x89PNG")
    asked = ["--zoom", "--points", str(points), "--time", "2026-11-21T04:00:00"]
    assert run(["skymap", "plot", str(folder / "gw.fits"), "--out", str(closer), *asked]) == 0
    assert "AT 2026abc" in closer.read_text()


@pytest.mark.parametrize("fmt", ["fits", "json", "ascii"])
def test_regions(folder: Path, tmp_path: Path, fmt: str) -> None:
    out = tmp_path / "region"
    assert run(["skymap", "moc", str(folder / "gw.fits"), "--level", "0.5", "--format", fmt, "--out", str(out)]) == 0
    read = {"fits": MOC.from_fits, "json": lambda path: MOC.load(path, "json"), "ascii": lambda path: MOC.load(path, "ascii")}
    assert read[fmt](str(out)) == moc_of(read_skymap(folder / "gw.fits"), 0.5)


def test_contours_and_probability(folder: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run(["skymap", "contour", str(folder / "circle.fits"), "--level", "0.9"]) == 0
    [feature] = json.loads(capfdbinary.readouterr().out)["features"]
    assert feature["properties"]["credible_level"] == 0.9
    for region in (["--cone", "200", "-20", "4"], ["--polygon", "190,-30 210,-30 210,-10 190,-10"]):
        assert run(["skymap", "probability", str(folder / "circle.fits"), *region, "--json"]) == 0
        assert json.loads(capfdbinary.readouterr().out)["probability"] == pytest.approx(0.95, abs=0.06)


def test_overlap(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["skymap", "overlap", str(folder / "circle.fits"), str(folder / "circle.fits"), "--json"]) == 0
    variance = np.radians(4.0) ** 2 / (-2 * np.log(0.1))
    assert as_json(capsys)["overlap"] == pytest.approx(1 / variance, rel=0.02)  # 4 pi / (4 pi sigma²), for a small circle
    (tmp_path / "far.fits").write_bytes(write_skymap(from_cone(20.0, 20.0, 2.0)))
    assert run(["skymap", "overlap", str(folder / "circle.fits"), str(tmp_path / "far.fits"), "--json"]) == 0
    assert as_json(capsys)["overlap"] == pytest.approx(0.0, abs=1e-6)


def test_maps_are_made_and_converted(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = tmp_path / "made.fits"
    assert run(["skymap", "make", "--circle", "10", "-20", "3", "--containment", "0.9", "--out", str(made)]) == 0
    assert area(read_skymap(made), 0.9) == pytest.approx(np.pi * 9, rel=0.01)
    assert run(["skymap", "make", "--annulus", "10", "-20", "40", "1.5", "--sigmas", "1", "--out", str(made)]) == 0
    assert area(read_skymap(made), 0.9) == pytest.approx(360 * np.sin(np.radians(40)) * 2 * 1.645 * 1.5, rel=0.01)
    lon, lat = healpy.pix2ang(16, np.arange(12 * 256), nest=True, lonlat=True)
    prob = np.exp(-0.5 * (sky.separation(40, 20, lon, lat) / 9) ** 2)
    given = flat(tmp_path / "flat.fits.gz", prob / prob.sum())
    assert run(["skymap", "convert", str(given), "--out", str(tmp_path / "converted.fits")]) == 0
    assert area(read_skymap(tmp_path / "converted.fits"), 0.9) == pytest.approx(area(read_skymap(given), 0.9))


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["info"], 2),
        (["info", "/no/such/map.fits"], 2),
        (["level", "GW"], 2),
        (["plot", "GW"], 2),
        (["plot", "GW", "--out", "map.gif"], 2),
        (["plot", "GW", "--out", "/no/such/folder/map.png"], 2),
        (["plot", "GW", "--out", "map.png", "--time", "yesterday"], 2),
        (["moc", "GW", "--level", "2"], 2),
        (["moc", "GW", "--format", "xml"], 2),
        (["contour", "GW", "--level", "0"], 2),
        (["probability", "GW"], 2),
        (["probability", "GW", "--cone", "1", "95", "1"], 2),
        (["probability", "GW", "--polygon", "1,2 3"], 2),
        (["make", "--out", "x.fits"], 2),
        (["make", "--circle", "1", "95", "1", "--out", "x.fits"], 2),
        (["overlap", "GW"], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_wrong_use(folder: Path, arguments: list[str], status: int) -> None:
    assert run(["skymap", *(str(folder / "gw.fits") if word == "GW" else word for word in arguments)]) == status


@pytest.mark.parametrize("verb", [["info"], ["moc"], ["overlap"]], ids=" ".join)
@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"name,ra,dec\nAT1,10,20\n", "it begins with the words name,ra,dec"),
        (b"\x00\x01\x02" * 20, "it begins with the bytes 00 01 02 00 01 02 00 01"),
        (b"", "it is empty"),
    ],
    ids=["text", "bytes", "nothing"],
)
def test_what_is_no_map_is_named(
    tmp_path: Path, verb: list[str], data: bytes, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "candidates.csv"
    file.write_bytes(data)
    assert run(["skymap", *verb, *[str(file)] * (1 + (verb == ["overlap"]))]) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert f"error: {file}: " in told
    assert says in told
    assert "b'" not in told
