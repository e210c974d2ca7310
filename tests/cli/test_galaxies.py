"""`nuncius event galaxies` and `nuncius skymap galaxies`."""

from __future__ import annotations

import base64
import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from broker.cli.app import run
from broker.simulate import lvk
from broker.store import catalogs


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a simulated merger and galaxies all over the sky; the merger's map lies beside."""
    folder = tmp_path_factory.mktemp("galaxies")
    (folder / "in").mkdir()
    packet = next(lvk.packets(5, 1, datetime(2026, 11, 21, 4, tzinfo=UTC)))
    (folder / "in" / f"{packet.name}{packet.suffix}").write_bytes(packet.data)
    told = json.loads(packet.data)
    (folder / "name").write_text(told["superevent_id"])
    (folder / "map.fits").write_bytes(base64.b64decode(told["event"]["skymap"]))
    lines = ["id,name,ra,dec,dist,b_mag"]
    lines += [
        f"{ra}:{dec},G{ra}{dec:+d},{ra},{dec},{40 + (ra * 7) % 300},15" for ra in range(0, 360, 2) for dec in range(-88, 90, 2)
    ]
    (folder / "grid.csv").write_text("\n".join(lines))
    catalogs.add(folder / "data" / "catalogs", "grid", folder / "grid.csv")
    assert run(["--data", str(folder / "data"), "ingest", str(folder / "in"), "--json"]) == 0
    return folder


def test_event_and_file_say_the_same(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    common = ["--catalog", "grid", "--limit", "5", "--format", "json"]
    assert run(["--data", str(data / "data"), "event", "galaxies", (data / "name").read_text(), *common]) == 0
    event = json.loads(capsys.readouterr().out)
    assert run(["--data", str(data / "data"), "skymap", "galaxies", str(data / "map.fits"), *common]) == 0
    file = json.loads(capsys.readouterr().out)
    assert [row["rank"] for row in event["items"]] == [1, 2, 3, 4, 5]
    assert event["items"] == file["items"]
    assert event["event"] == (data / "name").read_text()
    assert file["weight"] == "luminosity"
    assert all(row["ranking"] == "3D" for row in file["items"])


def test_a_table_unless_told_otherwise(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    common = ["--catalog", "grid", "--limit", "3"]
    assert run(["--data", str(data / "data"), "event", "galaxies", (data / "name").read_text(), *common]) == 0
    told = capsys.readouterr()
    assert "of grid, weight luminosity" in told.out
    assert "sky alone" not in told.out
    assert "completeness" in told.err
    assert run(["--data", str(data / "data"), "skymap", "galaxies", str(data / "map.fits"), *common, "--format", "json"]) == 0
    first = json.loads(capsys.readouterr().out)["items"][0]
    assert first["name"] in told.out
    assert f"{first['probability']:.3f}" in told.out


def test_as_csv_and_without_weights(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    verb = [
        "skymap",
        "galaxies",
        str(data / "map.fits"),
        "--catalog",
        "grid",
        "--weight",
        "none",
        "--format",
        "csv",
        "--level",
        "0.5",
    ]
    assert run(["--data", str(data / "data"), *verb]) == 0
    told = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(told.out)))
    assert [row["rank"] for row in rows] == [str(number) for number in range(1, len(rows) + 1)]
    densities = [float(row["volume_density"]) for row in rows]
    assert densities == sorted(densities, reverse=True)
    assert all(float(row["credible_level"]) <= 0.6 for row in rows)
    assert "completeness" in told.err


@pytest.mark.parametrize(
    ("arguments", "status", "word"),
    [
        (["event", "galaxies", "S000000a", "--catalog", "grid"], 1, "S000000a"),
        (["skymap", "galaxies", "{map}"], 1, "nuncius catalog add glade"),
        (["skymap", "galaxies", "{map}", "--catalog", "grid", "--level", "1.5"], 2, "between 0 and 1"),
        (["skymap", "galaxies", "{map}", "--catalog", "ngc", "--weight", "luminosity"], 2, "weight none"),
        (["skymap", "galaxies", "/no/such.fits"], 2, ""),
    ],
)
def test_what_cannot_be(data: Path, arguments: list[str], status: int, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    spelled = [argument.format(map=data / "map.fits") for argument in arguments]
    assert run(["--data", str(data / "data"), *spelled]) == status
    assert word in capsys.readouterr().err.replace("\n", " ")
