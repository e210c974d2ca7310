"""The tutorial, followed: every command it shows, in order, in a folder of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from tests.running import ROOT
from tests.tutorials import Followed, followed


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Followed]:
    with followed("tutorial.md", tmp_path_factory.mktemp("clone"), "tutorial") as done:
        yield done


@pytest.mark.timeout(600)
def test_what_is_wrong_is_told_with_its_place(said: Followed) -> None:
    told = said.answer("|| echo")
    assert "candidate.rbb" in told
    assert "candidate.rb" in told.replace("candidate.rbb", "")
    assert "line" in told
    assert "something to mend" in told


def test_the_funnel_and_the_backtest_find_something(said: Followed) -> None:
    assert "4,000 alerts" in said.answer("filter explain rising.toml\n")
    assert (said.top / "tutorial" / "rising.png").read_bytes().startswith(b"\x89PNG")
    assert "lightcurve.rate" in said.answer("--alert")


def test_what_went_live_matched_what_the_backtest_says(said: Followed) -> None:
    data = said.top / "tutorial" / "data"
    told = json.loads((said.top / "tutorial" / "wednesday.json").read_text())
    done = subprocess.run(
        [sys.executable, "-c", LIVE, f"sqlite:///{data}/nuncius.sqlite"], cwd=ROOT, capture_output=True, check=True
    )  # fmt: skip
    live = json.loads(done.stdout)
    assert live
    assert sorted(told["matches"]) == sorted(live)
    assert "matched.rising" in said.answer("nuncius trace")


LIVE = """
import json, sys
from sqlalchemy import select
from broker.store import engine, tables
with engine.connection(engine.open_store(sys.argv[1])) as conn:
    match = tables.matches.c
    print(json.dumps([row.alert_id for row in conn.execute(select(match.alert_id).where(match.filter == "rising"))]))
"""


def test_versions_are_told(said: Followed) -> None:
    told = said.answer("filter versions")
    assert "now: 1 retired, 2 live" in told
    assert "version 2 takes over" in told


def test_the_page_is_there(said: Followed) -> None:
    address = f"http://127.0.0.1:{said.ports['8000']}"
    assert httpx.get(f"{address}/filters", timeout=30).status_code == 200
    assert "rising" in httpx.get(f"{address}/api/v1/filters/rising", timeout=30).text
