"""Classifications of alerts over HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.api.world import BIG, IVORN

API = "/api/v1"
ALERT = f"{API}/alerts/ztf:{BIG + 3}"


def sent(client: httpx.Client, *said: dict[str, Any], status: int = 201, address: str = ALERT) -> Any:
    answer = client.post(f"{address}/classifications", json={"classifications": list(said)})
    assert answer.status_code == status, answer.text
    return answer.json()


def test_are_shown_with_their_alert(client: httpx.Client) -> None:
    assert client.get(ALERT).json()["classifications"] == []
    assert client.get(f"{ALERT}/classifications").json() == {"alert_id": f"ztf:{BIG + 3}", "items": []}
    whole = {
        "classification": "SN Ia",
        "probability": 0.93,
        "taxonomy": "TNS",
        "classifier": "ParSNIP",
        "version": "1.4",
        "reference": "x",
    }
    done = sent(client, whole, {"classification": "AGN", "probability": 0.01})
    assert [one["classification"] for one in done["items"]] == ["SN Ia", "AGN"]
    assert {name: done["items"][0][name] for name in whole} == whole
    assert done["items"][0]["who"] == "local"
    assert (
        client.get(ALERT).json()["classifications"] == done["items"] == client.get(f"{ALERT}/classifications").json()["items"]
    )
    assert sent(client, whole | {"probability": 0.5})["items"][0]["probability"] == 0.5
    assert len(client.get(ALERT).json()["classifications"]) == 2
    listed = client.get(f"{API}/alerts?id=ztf:{BIG + 3}").json()["items"][0]
    assert listed["classifications"] is None  # told of an alert alone


def test_an_id_with_slashes_and_hashes(client: httpx.Client) -> None:
    from urllib.parse import quote

    address = f"{API}/alerts/{quote(IVORN, safe='')}"
    assert sent(client, {"classification": "long GRB"}, address=address)["alert_id"] == IVORN
    assert client.get(address).json()["classifications"][0]["classification"] == "long GRB"


@pytest.mark.parametrize(
    "wrong",
    [
        {"classification": ""},
        {"classification": "x" * 201},
        {"classification": "a\x00b"},
        {"classification": "x", "probability": 1.1},
        {"classification": "x", "probability": -0.1},
        {"probability": 0.5},
        {"classification": "x", "classifier": ""},
    ],
)
def test_what_cannot_be_is_refused_whole(client: httpx.Client, wrong: dict[str, Any]) -> None:
    before = client.get(ALERT).json()["classifications"]
    sent(client, {"classification": "good"}, wrong, status=400)
    assert client.get(ALERT).json()["classifications"] == before


def test_of_no_alert(client: httpx.Client) -> None:
    sent(client, {"classification": "x"}, status=404, address=f"{API}/alerts/ztf:none")
    assert client.get(f"{API}/alerts/ztf:none/classifications").status_code == 404
    assert client.post(f"{ALERT}/classifications", json={"classifications": []}).status_code == 400
