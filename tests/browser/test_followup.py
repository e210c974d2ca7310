"""Who followed an event, on its page, and what an alert was said to be, on its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, expect

from broker.settings import load
from broker.simulate.night import make_night
from broker.wiring.parts import open_parts
from broker.wiring.serving import services
from tests.api.world import served
from tests.browser.opening import Night, opened

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    """A merger with alerts in its map, and telescopes that looked at it, or will."""
    from datetime import UTC, datetime

    from broker.cli.app import run

    folder = tmp_path_factory.mktemp("followed")
    (folder / "in").mkdir()
    made = make_night(7, datetime(2026, 11, 21, 4, tzinfo=UTC), 1800.0, {"ztf": 0.25}, history=3, cutouts=False)
    for packet in made.packets():
        (folder / "in" / f"{packet.name}{packet.suffix}").write_bytes(packet.data)
    assert run(["--data", str(folder / "data"), "ingest", str(folder / "in"), "--json"]) == 0
    with open_parts(load(None), folder / "data") as parts, served(services(parts)) as url:
        merger = next(truth.name for truth in made.truth if truth.kind == "gw")
        api = f"{url}/api/v1/events/{merger}"
        info = httpx.get(f"{api}/skymap?format=info", timeout=20).json()
        event = httpx.get(api, timeout=20).json()
        common = {"ra": info["ra"], "dec": info["dec"], "footprint": {"type": "circle", "radius": 3.0}, "time": event["time"]}
        sent: list[dict[str, Any]] = [
            {
                **common,
                "telescope": "LT",
                "instrument": "IO:O",
                "band": "r",
                "depth": 21.3,
                "time": event["time"].replace("Z", ""),
            },
            {**common, "telescope": "LT", "instrument": "IO:O", "band": "g", "depth": 20.2},
            {**common, "telescope": "VLA", "band": "X", "status": "planned", "footprint": {"type": "circle", "radius": 9.0}},
        ]
        answer = httpx.post(f"{api}/observations", json={"observations": sent}, timeout=20)
        assert answer.status_code == 201, answer.text
        yield Night(url, merger, "")


def test_the_timeline_and_the_coverage(browser: Browser, followed: Night) -> None:
    api = f"{followed.url}/api/v1/events/{followed.event}"
    sequence = httpx.get(f"{api}/sequence", timeout=20).json()
    coverage = httpx.get(f"{api}/coverage", timeout=20).json()
    assert 0 < coverage["probability"] < 1
    with opened(browser, followed.url, f"/events/{followed.event}") as page:
        panel = page.locator("#followup-panel")
        expect(panel).to_be_visible()
        steps = [step for step in sequence["steps"] if step["dt"] is not None]
        expect(panel.locator("#timeline svg .step[data-what]")).to_have_count(
            len(steps) + panel.locator("#timeline .legend .step").count()
        )
        for who in ("LT IO:O", "VLA", "ZTF", "LVK"):
            expect(panel.locator("#timeline > svg")).to_contain_text(who)
        expect(panel.locator(".legend")).to_contain_text("gravitational waves")
        expect(panel.locator(".legend")).to_contain_text("hollow: planned")
        expect(page.locator("#coverage-note")).to_contain_text(f"{100 * coverage['probability']:.1f} %")
        expect(page.locator("#coverage-note")).to_contain_text("with what is planned")
        cells = page.locator("#coverage tr td:first-child").all_inner_texts()
        assert [name for name in cells if name] == [band["band"] for band in coverage["bands"]]
        expect(page.locator("#coverage")).to_contain_text("21.0 mag (AB)")
        page.locator("#followup-panel summary").click()
        expect(page.locator("#steps tbody tr")).to_have_count(len(sequence["steps"]))
        page.locator("#timeline a").first.click()
        page.wait_for_url("**/alerts/*")
        expect(page.locator("#fields-text")).to_contain_text('"superevent_id"')


def test_what_an_alert_was_said_to_be(browser: Browser, followed: Night) -> None:
    alert = httpx.get(f"{followed.url}/api/v1/alerts?stream=ztf&limit=1", timeout=20).json()["items"][0]["alert_id"]
    with opened(browser, followed.url, f"/alerts/{alert}") as page:
        expect(page.locator("#where")).not_to_have_text("")
        expect(page.locator("#classes-panel")).to_be_hidden()
        page.locator("#fields summary").click()
        expect(page.locator("#fields-text")).to_contain_text('"candid"')
    said = [
        {"classification": "SN <b>Ia</b>", "probability": 0.93, "classifier": "ParSNIP", "version": "1.4", "taxonomy": "TNS"}
    ]
    answer = httpx.post(f"{followed.url}/api/v1/alerts/{alert}/classifications", json={"classifications": said}, timeout=20)
    assert answer.status_code == 201
    with opened(browser, followed.url, f"/alerts/{alert}") as page:
        row = page.locator("#classes tr")
        expect(row).to_have_count(1)
        expect(row).to_contain_text("SN <b>Ia</b>")
        expect(row).to_contain_text("93.0 %")
        expect(row).to_contain_text("ParSNIP 1.4 · local")
