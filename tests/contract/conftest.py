"""Both databases, empty."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.store.engine import Store, close, open_store
from broker.store.migrate import migrate


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/nuncius.db"
    found: str = request.getfixturevalue("fresh_postgres")
    return found


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = open_store(url, synchronous="off")
    migrate(opened)
    yield opened
    close(opened)
