"""Help, and what is wrong with a command line, are told before anything heavy is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from broker.cli.app import run

ROOT = Path(__file__).parents[2]
HEAVY = {"astropy", "fastapi", "healpy", "lxml", "matplotlib", "mocpy", "numba", "numpy", "polars", "pyarrow"}
HEAVY |= {"sqlalchemy", "structlog"}
TOLD = f"""
import sys
from broker.cli.app import run
status = run(sys.argv[1:])
print("imported:", *sorted(set(sys.modules) & set({sorted(HEAVY)!r})))
sys.exit(status)
"""


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--help"], 0),
        (["ingest", "--help"], 0),
        (["event", "--help"], 0),
        (["skymap", "info", "--help"], 0),
        (["catalog", "add", "--help"], 0),
        (["nonsense"], 2),
        (["query"], 2),
        (["serve", "--port", "70000"], 2),
        (["skymap", "info", "/no/such/file"], 2),
        (["--data", "/no/such/folder", "status"], 2),
        (["--data", "/no/such/folder", "dead-letter", "list"], 2),
        (["--data", "/no/such/folder", "query", "mag < 18"], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_nothing_heavy_is_imported(arguments: list[str], status: int) -> None:
    done = subprocess.run([sys.executable, "-c", TOLD, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    assert done.stdout.splitlines()[-1].split() == ["imported:"]


def test_a_map_is_measured_without_what_serves(tmp_path: Path) -> None:
    file = tmp_path / "circle.fits"
    assert run(["skymap", "make", "--circle", "10", "20", "3", "--out", str(file)]) == 0
    words = ["skymap", "info", str(file)]
    done = subprocess.run([sys.executable, "-c", TOLD, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not {"fastapi", "sqlalchemy", "mocpy", "polars"} & set(done.stdout.splitlines()[-1].split())


def test_a_filter_is_checked_without_what_serves_reads_maps_and_draws() -> None:
    words = ["filter", "check", str(ROOT / "filters" / "ztf_bright_transients.toml")]
    done = subprocess.run([sys.executable, "-c", TOLD, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not {"astropy", "fastapi", "healpy", "matplotlib", "mocpy"} & set(done.stdout.splitlines()[-1].split())


def test_events_are_listed_without_what_compiles_and_draws(tmp_path: Path) -> None:
    words = ["--data", str(tmp_path), "event", "list"]
    assert run(["--data", str(tmp_path), "ingest", str(ROOT / "tests" / "cli" / "test_speed.py")]) in {0, 1}
    done = subprocess.run([sys.executable, "-c", TOLD, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not {"astropy", "healpy", "matplotlib", "mocpy", "numba"} & set(done.stdout.splitlines()[-1].split())
