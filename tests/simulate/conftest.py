"""Schemas and times the simulator is tested with."""

from __future__ import annotations

import importlib.metadata
from datetime import UTC, datetime
from typing import Any

import pytest
from fastavro.schema import load_schema

START = datetime(2026, 11, 21, 4, tzinfo=UTC)


def lsst_schema(version: str) -> dict[str, Any]:
    root = importlib.metadata.distribution("lsst-alert-packet").locate_file("lsst/alert/packet/schema")
    name = version.replace(".", "_")
    schema: dict[str, Any] = load_schema(f"{root}/{version.replace('.', '/')}/lsst.v{name}.alert.avsc")
    return schema


@pytest.fixture(scope="session")
def schema_10() -> dict[str, Any]:
    return lsst_schema("10.0")
