"""Fixtures every part of the suite shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of real packets; its tests skip where it is absent."""
    folder = Path(os.environ.get("NUNCIUS_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no folder of real packets at {folder}: set NUNCIUS_TEST_DATA")
    return folder
