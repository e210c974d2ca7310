"""Fixtures every part of the suite shares."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from astropy.utils import iers

from tests import services

ROOT = Path(__file__).parent.parent


LONG = ("test_tutorial", "faults", "integration", "test_tom", "test_backtest", "test_too_", "test_people", "test_openapi")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes minutes comes first, so that of several processes none is left with it at the end."""
    items.sort(key=lambda item: not any(name in str(item.path.relative_to(ROOT)) for name in LONG))


@pytest.fixture(scope="session", autouse=True)
def earth_orientation() -> None:
    """The tables of the Earth's rotation that astropy came with serve, however old: none is fetched on any day."""
    iers.conf.auto_download = False
    iers.conf.auto_max_age = None


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of real packets; its tests skip where it is absent."""
    folder = Path(os.environ.get("NUNCIUS_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no folder of real packets at {folder}: set NUNCIUS_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def kafka_bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap servers of a real Kafka, started once for the whole run unless KAFKA_BOOTSTRAP_SERVERS names one."""
    with services.kafka(tmp_path_factory.mktemp("kafka")) as servers:
        yield servers


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[str]:
    """Bootstrap servers of a real Kafka that nobody else writes to, for tests of the whole service."""
    with services.kafka(tmp_path / "kafka", own=True) as servers:
        yield servers


@pytest.fixture(scope="session")
def sasl_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[services.SaslKafka]:
    """A real Kafka that asks for passwords and for leave, started once for the whole run."""
    with services.sasl_kafka(tmp_path_factory.mktemp("sasl")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of a real PostgreSQL server, started once for the whole run unless NUNCIUS_TEST_POSTGRES_URL names one."""
    with services.postgres() as url:
        yield url


@pytest.fixture
def fresh_postgres(postgres_url: str) -> Iterator[str]:
    """URL of a PostgreSQL database of the test's own, empty."""
    with services.database(postgres_url) as url:
        yield url
