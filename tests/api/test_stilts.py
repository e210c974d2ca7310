"""VOTables of ours as stilts' lint has them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.services import missing


@pytest.mark.parametrize(
    "path", ["/api/v1/alerts?limit=200", "/api/v1/alerts?stream=ztf&limit=3", "/api/v1/alerts?stream=none"]
)
def test_votables_are_clean(client: httpx.Client, tmp_path: Path, path: str) -> None:
    if shutil.which("stilts") is None:
        missing("stilts is not here: install it")
    file = tmp_path / "table.xml"
    file.write_bytes(client.get(path, headers={"Accept": "application/x-votable+xml"}).content)
    found = subprocess.run(["stilts", "votlint", f"votable={file}"], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert "ERROR" not in found.stdout + found.stderr, found.stdout + found.stderr
