"""Watchlists and regions on the command line."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from astropy.table import Table
from mocpy import MOC

from broker.cli import region, watchlist
from broker.cli.app import run

CSV = "name,ra,dec,mag\nSN2023ixf,210.9107,54.3117,15\nM31,10.6847,41.2687,3\n"
FILTER = """
name = "watched"
version = 1
stream = "*"
description = "x"
where = "watchlist.sne.inside OR moc.field"
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "sne.csv").write_text(CSV)
    (tmp_path / "field.txt").write_text("3/5-7 9 5/1000\n")
    return tmp_path


def nuncius(data: Path, *arguments: str) -> int:
    return run(["--data", str(data / "data"), *arguments])


def test_the_life_of_a_watchlist(data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert nuncius(data, "watchlist", "add", "sne", str(data / "sne.csv"), "--radius", "3", "--description", "[mine]") == 0
    told = capfd.readouterr()
    assert "version 1: 2 targets, 3 arcsec" in told.err
    assert "not kept: mag" in told.err
    assert nuncius(data, "watchlist", "put-target", "sne", "Crab", "05:34:31.9", "-22:00:52", "--radius", "9") == 0
    assert nuncius(data, "watchlist", "put-target", "sne", "South", "12.5", "-70.25") == 0
    assert nuncius(data, "watchlist", "remove-target", "sne", "M31") == 0
    assert nuncius(data, "watchlist", "change", "sne", "--visibility", "private") == 0
    assert "version 4: 3 targets" in capfd.readouterr().err
    assert nuncius(data, "watchlist", "list", "--json") == 0
    (listed,) = json.loads(capfd.readouterr().out)
    assert (listed["name"], listed["version"], listed["targets"], listed["radius"]) == ("sne", 4, 3, 3.0)
    assert (listed["visibility"], listed["description"]) == ("private", "[mine]")
    assert nuncius(data, "watchlist", "show", "sne", "--json") == 0
    versions = json.loads(capfd.readouterr().out)["versions"]
    assert [each["change"] for each in versions] == ["target M31 removed", "target South put", "target Crab put", "made"]
    assert all(each["who"] for each in versions)
    assert nuncius(data, "watchlist", "export", "sne") == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == "id,ra,dec,radius_arcsec"
    assert lines[1] == "SN2023ixf,210.9107,54.3117,"
    assert lines[2].startswith("Crab,83.63")
    assert lines[3] == "South,12.5,-70.25,"
    out = data / "sne.vot"
    assert nuncius(data, "watchlist", "export", "sne", "--format", "votable", "--version", "1", "--out", str(out)) == 0
    table = Table.read(io.BytesIO(out.read_bytes()), format="votable", use_names_over_ids=True)
    assert list(table["id"]) == ["SN2023ixf", "M31"]
    assert str(table["radius_arcsec"].unit) == "arcsec"
    assert nuncius(data, "watchlist", "replace", "sne", str(out)) == 0
    assert "version 5: 2 targets, 3 arcsec" in capfd.readouterr().err
    (data / "twice.csv").write_text("id,ra,dec\na,1,2\na,3,4\n")
    assert nuncius(data, "watchlist", "replace", "sne", str(data / "twice.csv")) == 0
    assert "rows with the id of an earlier one: 1;" in capfd.readouterr().err
    assert nuncius(data, "watchlist", "remove", "sne") == 0
    assert nuncius(data, "watchlist", "show", "sne") == 1
    assert "no watchlist 'sne'" in capfd.readouterr().err


def test_the_life_of_a_region(data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert nuncius(data, "region", "add", "field", str(data / "field.txt"), "--description", "ours") == 0
    assert "version 1: 0.5" in capfd.readouterr().err
    out = data / "field.fits"
    assert nuncius(data, "region", "export", "field", "--format", "fits", "--out", str(out)) == 0
    assert MOC.from_fits(out) == MOC.from_string("3/5-7 9 5/1000")
    (data / "whole.json").write_text('{"0": [0,1,2,3,4,5,6,7,8,9,10,11]}')
    assert nuncius(data, "region", "replace", "field", str(data / "whole.json")) == 0
    told = capfd.readouterr().err
    assert "version 2: 100 % of the sky, order 0" in told
    assert "whole sky" in told
    assert nuncius(data, "region", "export", "field", "--version", "1") == 0
    assert capfd.readouterr().out == "3/5-7 9 5/1000\n"
    assert nuncius(data, "region", "list", "--json") == 0
    (listed,) = json.loads(capfd.readouterr().out)
    assert (listed["name"], listed["newest"]["version"], listed["event_name"]) == ("field", 2, None)
    assert nuncius(data, "region", "show", "field", "--json") == 0
    assert [each["version"] for each in json.loads(capfd.readouterr().out)["versions"]] == [2, 1]
    assert nuncius(data, "region", "remove", "field") == 0
    assert nuncius(data, "region", "list") == 0


def test_a_list_that_live_filters_ask_for_stays(data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (data / "data" / "filters").mkdir(parents=True)
    (data / "data" / "filters" / "watched.toml").write_text(FILTER)
    (data / "data" / "nuncius.toml").write_text('filters = "filters"\n')
    assert nuncius(data, "watchlist", "add", "sne", str(data / "sne.csv")) == 0
    assert nuncius(data, "region", "add", "field", str(data / "field.txt")) == 0
    for kind, name in (("watchlist", "sne"), ("region", "field")):
        capfd.readouterr()
        assert nuncius(data, kind, "remove", name) == 2
        assert "asked for by watched" in capfd.readouterr().err
        assert nuncius(data, kind, "remove", name, "--force") == 0


@pytest.mark.parametrize(
    ("arguments", "status", "word"),
    [
        (["watchlist", "add", "Sne", "{data}/sne.csv"], 2, "lower-case letter"),
        (["watchlist", "add", "other", "{data}/sne.csv", "--radius", "0"], 2, "radius of 0 arcsec"),
        (["watchlist", "add", "other", "{data}/none.csv"], 2, ""),
        (["watchlist", "add", "other", "{data}/field.txt"], 2, "field.txt"),
        (["watchlist", "add", "sne", "{data}/sne.csv"], 2, "watchlist replace sne FILE"),
        (["watchlist", "replace", "sn", "{data}/sne.csv"], 1, "did you mean sne?"),
        (["watchlist", "put-target", "sne", "x", "361", "0"], 2, "0 to 360"),
        (["watchlist", "put-target", "sne", "x", "0", "-91"], 2, "-90 to 90"),
        (["watchlist", "put-target", "sne", "x", "0", "0", "--radus", "3"], 2, ""),
        (["watchlist", "remove-target", "sne", "x"], 1, "no target 'x'"),
        (["watchlist", "export", "sne", "--version", "9"], 1, "no version 9"),
        (["region", "add", "field"], 2, "--event NAME"),
        (["region", "add", "field", "{data}/field.txt", "--event", "S1"], 2, "--event NAME"),
        (["region", "add", "field", "{data}/empty.txt"], 2, "is empty"),
        (["region", "add", "field", "{data}/sne.csv"], 2, "sne.csv: no MOC"),
        (["region", "add", "merger", "--event", "S1"], 1, "no event 'S1'"),
        (["region", "show", "none"], 1, "no region 'none'"),
        (["region", "export", "none"], 1, "no region 'none'"),
    ],
)
def test_what_cannot_be(data: Path, arguments: list[str], status: int, word: str, capfd: pytest.CaptureFixture[str]) -> None:
    (data / "empty.txt").write_text("3/\n")
    assert nuncius(data, "watchlist", "add", "sne", str(data / "sne.csv")) == 0
    capfd.readouterr()
    assert nuncius(data, *(argument.format(data=data) for argument in arguments)) == status
    assert word in capfd.readouterr().err.replace("\n", " ")


@pytest.mark.parametrize("kind", ["watchlist", "region"])
def test_reading_makes_no_data_folder(data: Path, kind: str) -> None:
    for verb in (["list"], ["show", "x"], ["export", "x"], ["remove", "x"]):
        assert nuncius(data, kind, *verb) == 2
    assert not (data / "data").exists()


def test_tables_for_people(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    file = io.StringIO()
    for module in (watchlist, region):
        monkeypatch.setattr(module, "out", Console(file=file, width=120))
    assert nuncius(data, "watchlist", "add", "sne", str(data / "sne.csv"), "--description", "[bold]") == 0
    assert nuncius(data, "region", "add", "field", str(data / "field.txt")) == 0
    for arguments in (["watchlist", "list"], ["watchlist", "show", "sne"], ["region", "list"], ["region", "show", "field"]):
        assert nuncius(data, *arguments) == 0
    shown = file.getvalue()
    assert "[bold]" in shown
    assert "0.5" in shown
    assert "made" in shown
