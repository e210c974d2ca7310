from __future__ import annotations

import base64
import json
import math
from urllib.parse import quote

import httpx
import pytest

from tests.api.world import BIG, IVORN, NOTICE, World, survey_alert

ALERTS = "/api/v1/alerts"


def walk(client: httpx.Client, path: str) -> list[dict]:
    """Every item of every page."""
    found = []
    while path:
        page = client.get(path).raise_for_status().json()
        found += page["items"]
        path = page["next"]
    return found


def test_pages_together_hold_each_alert_once(client: httpx.Client, here: World) -> None:
    ids = [alert["alert_id"] for alert in walk(client, f"{ALERTS}?limit=7")]
    assert len(ids) == len(set(ids))
    assert set(ids) == set(here.frame["alert_id"])


def test_newest_first(client: httpx.Client) -> None:
    times = [alert["time"] for alert in walk(client, f"{ALERTS}?limit=20&stream=ztf")]
    assert times == sorted(times, reverse=True)
    assert all(time.endswith("Z") for time in times)


def test_ids_are_exact_strings(client: httpx.Client) -> None:
    alert = client.get(f"{ALERTS}/ztf:{BIG + 3}").raise_for_status().json()
    assert alert["alert_id"] == f"ztf:{BIG + 3}"
    assert alert["hpx"] == str(survey_alert(3)["hpx"])
    assert alert["annotations"]["candidate.candid"] == str(BIG + 3)


def test_by_several_ids(client: httpx.Client) -> None:
    page = client.get(ALERTS, params={"id": [f"ztf:{BIG}", IVORN, "ztf:nothing"]}).json()
    assert [alert["alert_id"] for alert in page["items"]] == [f"ztf:{BIG}", IVORN]


def test_an_ivorn_is_found_when_it_is_encoded(client: httpx.Client) -> None:
    path = f"{ALERTS}/{quote(IVORN, safe='')}"
    assert client.get(path).json()["alert_id"] == IVORN
    assert client.get(f"{path}/packet").content == NOTICE
    assert client.get(f"{path}/fields").json()["candidate"] == {
        "candid": str(BIG),
        "rb": None,
        "field": 500,
        "pid": str(2**60),
    }
    assert client.get(f"{path}/cutouts/science").status_code == 404


def test_an_alert_tells_who_picked_it_and_where_its_images_are(client: httpx.Client) -> None:
    alert = client.get(f"{ALERTS}/ztf:{BIG}").json()
    assert [match["filter"] for match in alert["matches"]] == []
    images = client.get(alert["cutouts"]["science"])
    assert images.headers["content-type"] == "image/png"
    burst = client.get(f"{ALERTS}/{quote(IVORN, safe='')}").json()
    assert [match["filter"] for match in burst["matches"]] == ["gamma-ray-burst"]
    assert burst["cutouts"] == {}


def test_cone_is_nearest_first_and_right(client: httpx.Client, here: World) -> None:
    centre = survey_alert(5)
    found = client.get(ALERTS, params={"ra": centre["ra"], "dec": centre["dec"], "radius": 40, "limit": 1000}).json()["items"]
    expected = {row["alert_id"] for row in here.frame.iter_rows(named=True) if _apart(centre, row) <= 40}
    assert {alert["alert_id"] for alert in found} == expected
    assert found[0]["alert_id"] == centre["alert_id"]
    distances = [alert["separation"] for alert in found]
    assert distances == sorted(distances)


def _apart(one: dict, other: dict) -> float:
    if other["ra"] is None:
        return 999.0
    a, b = (math.radians(value) for value in (one["dec"], other["dec"]))
    turn = math.radians(one["ra"] - other["ra"])
    return math.degrees(math.acos(min(1.0, math.sin(a) * math.sin(b) + math.cos(a) * math.cos(b) * math.cos(turn))))


def test_cone_in_sexagesimal(client: httpx.Client) -> None:
    found = client.get(ALERTS, params={"ra": "08:52:48.0", "dec": "+42:42:00", "radius": 0.001}).json()["items"]
    assert [alert["alert_id"] for alert in found] == [IVORN]


def test_a_cone_needs_all_three(client: httpx.Client) -> None:
    answer = client.get(ALERTS, params={"ra": 10, "dec": 5})
    assert answer.status_code == 400
    assert "radius" in answer.json()["detail"]


def cursor_of(key: str) -> str:
    """As ours, but of a key that no database takes."""
    return base64.urlsafe_b64encode(json.dumps(["alert", 1.0, key]).encode()).decode().rstrip("=")


@pytest.mark.parametrize("end", ["2024-04-22T21:30:13Z", "60422.8959"])
def test_window_of_time_is_half_open(client: httpx.Client, end: str) -> None:
    found = walk(client, f"{ALERTS}?stream=ztf&start=2024-04-22T21:20:13Z&end={end}")
    numbers = sorted(int(alert["alert_id"].removeprefix("ztf:")) - BIG for alert in found)
    assert numbers == list(range(6, 16)), "minutes 15 to 6 before; the fifth is the end, and not in"


def test_by_filter_stream_and_object(client: httpx.Client, here: World) -> None:
    picked = walk(client, f"{ALERTS}?filter=young-supernova")
    expected = here.frame.filter((here.frame["reliability"] > 0.85).fill_null(value=False))
    assert {alert["alert_id"] for alert in picked} == set(expected["alert_id"])
    assert [alert["alert_id"] for alert in walk(client, f"{ALERTS}?object=ZTF24aa00004")] == [f"ztf:{BIG + 4}"]
    assert {alert["stream"] for alert in walk(client, f"{ALERTS}?stream=gcn")} == {"gcn"}


def test_by_expression_in_pages(client: httpx.Client, here: World) -> None:
    found = walk(client, f"{ALERTS}?where=mag%20%3C%2018.5%20AND%20gaia.sep%20IS%20NULL&columns=candidate.candid&limit=3")
    expected = here.frame.filter((here.frame["mag"] < 18.5) & here.frame["gaia.sep"].is_null())
    assert expected.height > 6
    assert [alert["alert_id"] for alert in found] == expected.sort("time", "alert_id", descending=True)["alert_id"].to_list()
    assert {alert["annotations"]["candidate.candid"] for alert in found} == set(expected["candidate.candid"].cast(str))


def test_expression_and_filter_both_hold(client: httpx.Client) -> None:
    found = walk(client, f"{ALERTS}?filter=bright-transient&where=band%20%3D%20'g'")
    assert found
    assert all(alert["mag"] < 19 and alert["reliability"] > 0.5 and alert["band"] == "g" for alert in found)


def test_a_wrong_expression_says_where(client: httpx.Client) -> None:
    answer = client.get(ALERTS, params={"where": "mag < 18 AND magnitude_of_nothing > 3"})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:nuncius:problem:expression"
    assert "magnitude_of_nothing" in answer.json()["detail"]
    assert answer.json()["line"] == 1


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("limit=0", "limit"),
        ("limit=10001", "limit"),
        ("limit=ten", "limit"),
        ("radius=-1&ra=1&dec=1", "radius"),
        ("ra=400&dec=1&radius=1", "ra"),
        ("start=tomorrow", "start"),
        ("start=60001&end=60000", "end"),
        ("cursor=abc", "cursor"),
        ("where=mag%3C1&cursor=abc", "cursor"),
        (f"cursor={cursor_of(chr(0xD800))}", "cursor"),
        (f"cursor={cursor_of(chr(0))}", "cursor"),
        (f"cursor={base64.urlsafe_b64encode(b'[' * 3000).decode()}", "cursor"),
        ("format=xls", "format"),
        ("columns=mag", "columns"),
        ("id=a&stream=ztf", "id"),
        ("object=%00", "NUL"),
    ],
)
def test_wrong_use_is_told(client: httpx.Client, query: str, told: str) -> None:
    answer = client.get(f"{ALERTS}?{query}")
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert told in answer.json()["detail"]
