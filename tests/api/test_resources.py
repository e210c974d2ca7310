from __future__ import annotations

from urllib.parse import quote

import httpx

from broker.errors import StoreUnavailableError
from tests.api.world import BIG, IVORN, World, broken, served, status_of, survey_alert

API = "/api/v1"


def test_object(client: httpx.Client) -> None:
    found = client.get(f"{API}/objects/ZTF24aa00002").json()
    assert found["alert_count"] == 1
    assert found["streams"] == ["ztf"]
    assert found["latest"]["alert_id"] == f"ztf:{BIG + 2}"
    assert found["ra"] == survey_alert(2)["ra"]
    assert client.get(found["lightcurve"]).json()["object_id"] == "ZTF24aa00002"


def test_events_tell_what_is_known_now(client: httpx.Client) -> None:
    items = {event["name"]: event for event in client.get(f"{API}/events").json()["items"]}
    assert items["GRB240422A"]["ra_dec_error"] == 9.5
    assert items["GRB240422A"]["has_map"] is False
    assert items["S240422ed"]["has_map"] is True
    assert items["S240422ed"]["latest_alert_id"] == "lvk:S240422ed-2-Initial"
    assert [event["name"] for event in client.get(f"{API}/events?stream=gcn").json()["items"]] == ["GRB240422A"]


def test_events_in_pages(client: httpx.Client) -> None:
    first = client.get(f"{API}/events?limit=1").json()
    second = client.get(first["next"]).json()
    assert {event["name"] for event in first["items"] + second["items"]} == {"GRB240422A", "S240422ed"}
    assert second["next"] is None


def test_events_by_name_and_messenger(client: httpx.Client) -> None:
    def names(**asked: str) -> list[str]:
        return [event["name"] for event in client.get("/api/v1/events", params=asked).raise_for_status().json()["items"]]

    assert names(name="s240422ED") == ["S240422ed"]
    assert names(name="nobody") == []
    assert names(messenger="EM") == ["GRB240422A"]
    assert names(messenger="EM", name="S240422ed") == []


def test_what_is_not_served_here_is_told(client: httpx.Client) -> None:
    assert client.get("/api/v1/catalogs").json() == {"items": []}
    assert client.get("/api/v1/events/S240422ed/voevent").status_code == 404
    table = client.get("/api/v1/events/S240422ed/alerts", headers={"Accept": "text/csv"})
    assert table.text.startswith("alert_id,object_id,stream")
    assert len(table.text.splitlines()) == 1


def test_event_with_its_notices(client: httpx.Client) -> None:
    event = client.get(f"{API}/events/GRB240422A").json()
    assert [notice["alert_id"] for notice in event["revisions"]] == [IVORN]


def test_region_is_cells_around_the_place(client: httpx.Client) -> None:
    cells = client.get(f"{API}/events/S240422ed/region").json()["cells"]
    assert len(cells) > 50
    assert all(len(outline) == 8 for outline in cells)  # order 5: four corners, and a point between, as edges are bent
    assert all(-50 < dec < -8 and 95 < ra < 150 for corners in cells for ra, dec in corners)
    assert client.get(f"{API}/events/GRB240422A/region").status_code == 404


def test_filters_with_their_counts(client: httpx.Client) -> None:
    items = client.get(f"{API}/filters").json()["items"]
    assert [one["name"] for one in items] == ["bright-transient", "gamma-ray-burst", "young-supernova"]
    young = client.get(f"{API}/filters/young-supernova").json()
    assert young["version"] == "3"
    assert young["topic"] == "matched.young-supernova"
    assert young["matches"] == 12


def test_matches_newest_first_then_since(client: httpx.Client, here: World) -> None:
    page = client.get(f"{API}/matches?limit=5").json()
    numbers = [match["seq"] for match in page["items"]]
    assert numbers == sorted(numbers, reverse=True)
    assert client.get(page["next"]).json()["items"] == []
    here.publish(survey_alert(500))
    later = client.get(page["next"]).json()
    assert [match["alert"]["alert_id"] for match in later["items"]] == [f"ztf:{BIG + 500}"]
    assert client.get(later["next"]).json()["items"] == []


def test_matches_of_one_filter(client: httpx.Client) -> None:
    items = client.get(f"{API}/matches?filter=gamma-ray-burst").json()["items"]
    assert [match["alert"]["alert_id"] for match in items] == [IVORN]
    assert client.get(f"{API}/matches?filter=nobody").status_code == 404


def test_status_says_whether_all_is_accounted_for(client: httpx.Client, here: World) -> None:
    status = client.get(f"{API}/status").json()
    assert status["ledger"]["total"]["balanced"] is True
    assert status["lag"] == [{"group": "process", "topic": "raw.ztf", "partition": 0, "records": 12}]
    assert status["since"].endswith("Z")
    lost = {"ztf": {"received": 10, "published": 8, "duplicate": 1, "rejected": 0}}
    with served(broken(here, status=lambda: status_of(lost))) as url:
        told = httpx.get(f"{url}{API}/status").json()
    assert told["ledger"]["total"]["balanced"] is False
    assert told["ledger"]["streams"]["ztf"]["balanced"] is False


def test_health_and_metrics(client: httpx.Client) -> None:
    health = client.get(f"{API}/health")
    assert (health.status_code, health.json()["parts"]) == (200, {"store": "ok", "log": "ok"})
    for path in (f"{API}/metrics", "/metrics"):
        answer = client.get(path)
        assert answer.headers["content-type"].startswith("text/plain")
        assert "nuncius_alerts_total" in answer.text


def away(*_: object, **__: object) -> None:
    raise StoreUnavailableError("connection to 10.0.0.1 with password=secret refused")


def test_not_ready_while_the_log_is_away(here: World) -> None:
    class Away:
        topics = staticmethod(away)

    with served(broken(here, log=Away())) as url:
        health = httpx.get(f"{url}{API}/health")
        assert health.status_code == 503
        assert health.json() == {"alive": True, "ready": False, "parts": {"store": "ok", "log": "unavailable"}, "alarms": {}}
        assert httpx.get(f"{url}{API}/health/live").status_code == 200
        live = httpx.get(f"{url}{API}/live")
        assert live.status_code == 503
        assert live.headers["retry-after"]


def test_problems_have_one_shape(client: httpx.Client) -> None:
    for path, status in (
        (f"{API}/alerts/ztf:404", 404),
        (f"{API}/objects/nobody", 404),
        (f"{API}/objects/nobody/lightcurve", 404),
        (f"{API}/events/nobody", 404),
        (f"{API}/filters/nobody", 404),
        (f"{API}/nothing", 404),
        ("/nothing", 404),
        (f"{API}/alerts/ztf:{BIG}/cutouts/selfie", 400),
        (f"{API}/live?filter=nobody", 404),
        (f"{API}/live?after=nonsense", 400),
    ):
        answer = client.get(path)
        assert (path, answer.status_code) == (path, status)
        assert answer.headers["content-type"] == "application/problem+json"
        assert {"type", "title", "status", "detail", "instance"} <= answer.json().keys()
        assert answer.json()["status"] == status


def test_methods_that_are_not_served(client: httpx.Client) -> None:
    answer = client.delete(f"{API}/alerts")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET"
    assert answer.json()["type"] == "urn:nuncius:problem:method-not-allowed"


def test_a_fault_of_ours_says_nothing_of_our_insides(here: World) -> None:
    def fail(_: str) -> bytes:
        raise RuntimeError("postgresql://user:secret@db")

    with served(broken(here, packet=fail)) as url:
        answer = httpx.get(f"{url}{API}/alerts/ztf:{BIG}/packet")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret" not in answer.text
    assert answer.json()["mark"] in answer.json()["detail"]


def test_a_fault_that_passes_asks_to_come_back(here: World) -> None:
    with served(broken(here, light_curve=away)) as url:
        answer = httpx.get(f"{url}{API}/objects/ZTF24aa00001/lightcurve")
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert "secret" not in answer.text


def test_pages_come_with_their_files(client: httpx.Client) -> None:
    for path in ("/", "/api", "/objects/ZTF24aa00001", f"/alerts/{quote(IVORN, safe='')}"):
        page = client.get(path)
        assert page.status_code == 200
        assert "default-src 'self'" in page.headers["content-security-policy"]
        assert "http://" not in page.text.replace("http://www.w3.org", "")
    assert client.get("/static/js/home.js").headers["content-type"].startswith(("text/javascript", "application/javascript"))


def test_what_a_path_says_is_escaped(client: httpx.Client) -> None:
    page = client.get(f"/alerts/{quote('<script>alert(1)</script>', safe='')}")
    assert "<script>alert" not in page.text
