"""The application served on loopback, over a real store and a real log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from broker.wiring.maps import map_of_file
from tests.api.world import World, served, world


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world of the test file's own."""
    folder: Path = tmp_path_factory.mktemp("world")
    with world(folder) as made:
        yield made


@pytest.fixture(scope="module")
def url(here: World) -> Iterator[str]:
    """Where it is served."""
    with served(here.services) as address:
        yield address


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[httpx.Client]:
    """A client of it."""
    with httpx.Client(base_url=url, timeout=20) as made:
        yield made


@pytest.fixture(scope="module")
def real_reader(here: World) -> Iterator[httpx.Client]:
    """A client of a service that reads maps and notices as ours does."""
    with served(replace(here.services, read_map=map_of_file)) as address, httpx.Client(base_url=address, timeout=20) as made:
        yield made
