"""The tutorial, followed: every command it shows, in order, in a folder of its own."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.running import wait_for

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "tutorial.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(sh|toml)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone's top level, as far as the tutorial looks at it."""
    top = tmp_path_factory.mktemp("clone")
    (top / ".venv" / "bin").mkdir(parents=True)
    (top / ".venv" / "bin" / "nuncius").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m broker "$@"\n')
    (top / ".venv" / "bin" / "nuncius").chmod(0o755)
    return top


def environment(top: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NUNCIUS_") and name != "CI"}
    return kept | {"PYTHONPATH": str(ROOT), "NUNCIUS_DATA": str(top / "tutorial" / "data")} | {
        "PATH": f"{top / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    }  # fmt: skip


@pytest.fixture(scope="module")
def said(folder: Path) -> Iterator[dict[str, str]]:
    """What each block of commands printed, by the block."""
    told: dict[str, str] = {}
    where, service = folder, None
    for language, block in BLOCKS:
        if language == "toml":
            name = block.splitlines()[0].removeprefix("# ")
            (where / name).write_text(block)
        elif "in a window of its own" in block:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            command = [*block.strip().splitlines()[-1].replace("8000", str(port)).split()]
            command[0] = str(folder / ".venv" / "bin" / command[0])
            service = subprocess.Popen(command, cwd=where, env=environment(folder))
            told["address"] = f"http://127.0.0.1:{port}"
        else:
            shell = ["bash", "-e", "-c", block]
            done = subprocess.run(shell, cwd=where, env=environment(folder), capture_output=True, timeout=300, check=False)
            assert done.returncode == 0, block + done.stderr[-3000:].decode() + done.stdout[-2000:].decode()
            told[block] = (done.stdout + done.stderr).decode()
            where = folder / "tutorial"
    yield told
    if service is not None:
        service.terminate()
        service.wait(30)


def answer(said: dict[str, str], command: str) -> str:
    """What the block with a command printed."""
    (found,) = [text for block, text in said.items() if command in block]
    return " ".join(found.split())


@pytest.mark.timeout(600)
def test_what_is_wrong_is_told_with_its_place(said: dict[str, str]) -> None:
    told = answer(said, "|| echo")
    assert "candidate.rbb" in told
    assert "candidate.rb" in told.replace("candidate.rbb", "")
    assert "line" in told
    assert "something to mend" in told


def test_the_funnel_and_the_backtest_find_something(said: dict[str, str], folder: Path) -> None:
    assert "4,000 alerts" in answer(said, "filter explain rising.toml\n")
    assert (folder / "tutorial" / "rising.png").read_bytes().startswith(b"\x89PNG")
    assert "lightcurve.rate" in answer(said, "--alert")


def test_what_went_live_matched_what_the_backtest_says(said: dict[str, str], folder: Path) -> None:
    data = folder / "tutorial" / "data"
    told = json.loads((folder / "tutorial" / "wednesday.json").read_text())
    done = subprocess.run(
        [sys.executable, "-c", LIVE, f"sqlite:///{data}/nuncius.sqlite"], cwd=ROOT, capture_output=True, check=True
    )  # fmt: skip
    live = json.loads(done.stdout)
    assert live
    assert sorted(told["matches"]) == sorted(live)
    assert "matched.rising" in answer(said, "nuncius trace")


LIVE = """
import json, sys
from sqlalchemy import select
from broker.store import engine, tables
with engine.connection(engine.open_store(sys.argv[1])) as conn:
    match = tables.matches.c
    print(json.dumps([row.alert_id for row in conn.execute(select(match.alert_id).where(match.filter == "rising"))]))
"""


def test_versions_are_told(said: dict[str, str]) -> None:
    told = answer(said, "filter versions")
    assert "now: 1 retired, 2 live" in told
    assert "version 2 takes over" in told


def test_the_page_is_there(said: dict[str, str]) -> None:
    def there() -> bool:
        try:
            return httpx.get(said["address"] + "/filters", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    wait_for(there, 60, "the page of filters is not served")
    assert "rising" in httpx.get(said["address"] + "/api/v1/filters/rising").text
