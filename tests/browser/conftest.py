"""Headless Chromium, and what to do where there is none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, Error, sync_playwright

from broker.cli.app import run
from broker.settings import load
from broker.simulate import lvk
from broker.simulate.night import make_night
from broker.store import catalogs
from broker.wiring.parts import open_parts
from broker.wiring.serving import services
from tests.api.world import served
from tests.browser.opening import Night

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
]


def _absent(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, or the one NUNCIUS_TEST_CHROMIUM names."""
    path = os.environ.get("NUNCIUS_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        _absent("no Chromium: install Debian's package chromium, or set NUNCIUS_TEST_CHROMIUM")
    with sync_playwright() as playwright:
        try:
            started = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        except Error as error:
            _absent(f"Chromium at {path} does not start: {error}")
            raise
        yield started
        started.close()


@pytest.fixture(scope="session")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    """Simulated packets that took the whole way: decoded, associated, kept; with a catalogue of galaxies beside."""
    folder = tmp_path_factory.mktemp("night")
    (folder / "in").mkdir()
    start = datetime(2026, 11, 21, 4, tzinfo=UTC)
    made = make_night(7, start, 1800.0, {"ztf": 0.25}, history=3, cutouts=False)
    mock = list(lvk.packets(5, 1, start, mock=True))
    for packet in [*made.packets(), *mock]:
        (folder / "in" / f"{packet.name}{packet.suffix}").write_bytes(packet.data)
    lines = ["id,name,ra,dec,dist,b_mag"]
    lines += [f"{ra}{dec},G{ra}{dec:+d},{ra},{dec},{60 + (ra * 7) % 60},14" for ra in range(360) for dec in range(-89, 90)]
    (folder / "grid.csv").write_text("\n".join(lines))
    data = folder / "data"
    catalogs.add(data / "catalogs", "grid", folder / "grid.csv")
    assert run(["--data", str(data), "ingest", str(folder / "in"), "--json"]) == 0
    with open_parts(load(None), data) as parts, served(services(parts)) as url:
        merger = next(truth.name for truth in made.truth if truth.kind == "gw")
        yield Night(url, merger, mock[0].name.split("-")[0])
