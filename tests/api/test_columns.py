"""Columns of a stream, and the check of a filter, over the API."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from broker.settings import load
from broker.wiring import column_list, filter_check
from tests.api.world import World, served

API = "/api/v1"
TEXT = 'name = "mine"\nstream = "ztf"\ndescription = "Bright"\nwhere = """\nmag < 18\nAND {}\n"""\n'


@pytest.fixture(scope="module")
def api(here: World) -> Iterator[httpx.Client]:
    """A client of a service that knows the columns there are without a data folder."""
    found = column_list.at_hand(load(None), Path("/no/such/folder"))
    services = replace(
        here.services,
        columns=lambda stream, _hidden: column_list.known_of(stream, found),
        check_filter=lambda text, stream, _hidden: filter_check.check(text, "the filter", found, stream),
        check_condition=lambda where, stream, _hidden: filter_check.check_where(where, found, stream),
    )
    with served(services) as address, httpx.Client(base_url=address, timeout=30) as client:
        yield client


def test_columns(api: httpx.Client) -> None:
    found = api.get(f"{API}/streams/ztf/columns").raise_for_status().json()
    columns = {one["name"]: one for one in found["items"]}
    assert found["whole"]
    assert columns["mag_err"] == {
        "name": "mag_err",
        "type": "number",
        "unit": "mag",
        "meaning": "one sigma",
        "source": "common",
    }
    assert columns["candidate.rb"]["source"] == "packet"
    assert not api.get(f"{API}/streams/gcn/columns").json()["whole"]
    missing = api.get(f"{API}/streams/zt/columns")
    assert (missing.status_code, "did you mean ztf?" in missing.json()["detail"]) == (404, True)


def test_a_filter_that_is_wrong(api: httpx.Client) -> None:
    said = api.post(f"{API}/filters/check", json={"text": TEXT.format("candidate.rbb > 0.5 AND candidate.fid = 'g'")}).json()
    assert not said["ok"]
    assert said["faults"] == [
        {
            "message": "unknown column 'candidate.rbb' (did you mean candidate.rb?)",
            "line": 6,
            "column": 5,
            "word": "candidate.rbb",
            "nearest": "candidate.rb",
            "key": "where",
        },
        {
            "message": "kinds do not go together: candidate.fid (a number) with 'g' (text)",
            "line": 6,
            "column": 29,
            "word": "candidate.fid",
            "nearest": None,
            "key": "where",
        },
    ]
    half = api.post(f"{API}/filters/check", json={"text": TEXT[:60]}).json()
    assert [(fault["line"], fault["key"]) for fault in half["faults"]] == [(4, None)]


def test_a_filter_that_is_right(api: httpx.Client) -> None:
    said = api.post(f"{API}/filters/check", json={"text": TEXT.format("candidate.rb > 0.5")}).json()
    assert (said["ok"], said["faults"]) == (True, [])
    assert said["warnings"] == [
        "no example that matches: add an [[example]]",
        "no example that does not match: add an [[example]]",
    ]
    other = api.post(f"{API}/filters/check", json={"text": TEXT.format("candidate.rb > 0.5"), "stream": "lsst"}).json()
    assert [fault["word"] for fault in other["faults"]] == ["candidate.rb"]


def test_a_condition_alone(api: httpx.Client) -> None:
    def said(where: str, **more: str) -> dict[str, object]:
        answer = api.post(f"{API}/filters/check", json={"where": where, **more})
        assert answer.status_code == 200
        return answer.json()

    assert said("mag < 18 AND candidate.anything > 3")["ok"]
    (fault,) = said("mag < 18 AND\ncandidate.anything > 3", stream="ztf")["faults"]  # type: ignore[misc]
    assert (fault["line"], fault["column"], fault["word"]) == (2, 1, "candidate.anything")
    assert not said("")["ok"]
    assert not said("(" * 10_000)["ok"]
    assert not said("mag < 1 OR " * 20_000)["ok"]
    assert not said("read_csv('/etc/passwd') = ''")["ok"]


@pytest.mark.parametrize(
    "body", [{}, {"text": "x", "where": "x"}, {"text": "x" * 300_000}, {"where": 3}, {"where": "mag < 1", "stream": "nosuch"}]
)
def test_what_cannot_be_checked(api: httpx.Client, body: dict[str, object]) -> None:
    assert api.post(f"{API}/filters/check", json=body).status_code == 400


def test_where_nothing_is_listed(client: httpx.Client) -> None:
    assert client.get(f"{API}/streams/ztf/columns").status_code == 404
    assert client.post(f"{API}/filters/check", json={"where": "candidate.whatever > 3"}).json()["ok"]
    assert not client.post(f"{API}/filters/check", json={"text": TEXT.format("maq(3)")}).json()["ok"]


def test_errors_of_expressions_have_their_word(client: httpx.Client) -> None:
    told = client.get(f"{API}/alerts", params={"where": "magg < 3"}).json()
    assert (told["line"], told["column"], told["word"], told["nearest"]) == (1, 1, "magg", "mag")
