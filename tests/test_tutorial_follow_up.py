"""The tutorial of follow-up, followed: every command it shows, in order, in a folder of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.tutorials import Followed, followed


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Followed]:
    with followed("tutorial-follow-up.md", tmp_path_factory.mktemp("clone"), "observing") as done:
        yield done


@pytest.mark.timeout(600)
def test_an_address_of_ours_is_refused_until_it_is_allowed(said: Followed) -> None:
    told = said.answer("|| echo")
    assert "deliver.allow" in told
    assert "refused, as it should be" in told


def test_every_match_of_an_object_nobody_was_told_of_arrives_signed(said: Followed) -> None:
    received = [json.loads(line) for line in (said.top / "observing" / "received.jsonl").read_text().splitlines()]
    told = [one["data"] for one in received if one["type"] == "match"]
    assert [one["type"] for one in received if one["type"] != "match"] == ["test"]
    address = f"http://127.0.0.1:{said.ports['8000']}/api/v1/matches"
    matches: list[dict[str, object]] = []
    while items := httpx.get(address, params={"filter": "ztf_bright_transients", "since": _last(matches)}).json()["items"]:
        matches += items
    objects = {one["alert"]["object_id"] for one in matches}  # type: ignore[index]
    assert objects
    assert sorted(one["alert"]["object_id"] for one in told) == sorted(objects)
    assert len({one["delivery_id"] for one in told}) == len(told)


def _last(matches: list[dict[str, object]]) -> object:
    return matches[-1]["seq"] if matches else 0


def test_two_observatories_would_be_asked_and_each_decision_is_told(said: Followed) -> None:
    folder = said.top / "observing"
    requests = [json.loads(path.read_text()) for path in sorted((folder / "requests").iterdir())]
    assert any("requests" in one and one.get("proposal") == "TUTORIAL2026" for one in requests)
    assert any("requests" not in one for one in requests)
    trail = [json.loads(line) for line in (folder / "too.dry.audit.jsonl").read_text().splitlines()]
    assert {"confirm", "dome"} <= {one.get("rule") for one in trail}
    assert len(trail) > len(requests)  # refusals, too
    received = (folder / "received.jsonl").read_text()
    assert "/requests" not in received  # nothing was posted
    assert "confirm" in said.answer("--status")
