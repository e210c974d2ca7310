"""The list of events, the page of one, and the search box, over a night that was processed."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.opening import Night, opened

pytestmark = pytest.mark.browser


def alerts_of(night: Night, level: float) -> list[dict[str, object]]:
    answer = httpx.get(f"{night.url}/api/v1/events/{night.event}/alerts", params={"level": level, "limit": 10_000}, timeout=20)
    return list(answer.json()["items"])


def column(page: Page, table: str, title: str) -> list[str]:
    """What is in a column, from top to bottom."""
    heads = page.locator(f"#{table} thead th:visible").all_inner_texts()
    number = [head.strip(" \n▲▼") for head in heads].index(title)
    return [row.strip() for row in page.locator(f"#{table} tbody tr td:nth-child({number + 1})").all_inner_texts()]


def rows(page: Page, table: str) -> Locator:
    return page.locator(f"#{table} tbody tr")


def test_candidates_are_sorted_and_cut_by_level(browser: Browser, night: Night) -> None:
    inside = alerts_of(night, 0.9)
    assert len(inside) > 10
    with opened(browser, night.url, f"/events/{night.event}") as page:
        expect(rows(page, "candidates")).to_have_count(len(inside))
        assert column(page, "candidates", "Object") == [row["object_id"] for row in inside]  # the deepest first
        page.get_by_role("button", name="Mag").click()
        expect(page.locator("#candidates th[aria-sort=ascending]")).to_contain_text("Mag")
        mags = [float(mag) for mag in column(page, "candidates", "Mag") if mag]
        assert mags == sorted(mags)
        page.get_by_role("button", name="Mag").press("Enter")
        expect(page.locator("#candidates th[aria-sort=descending]")).to_contain_text("Mag")
        assert [float(mag) for mag in column(page, "candidates", "Mag") if mag] == mags[::-1]
        page.locator("#levels button[value='50']").click()
        core = alerts_of(night, 0.5)
        assert 0 < len(core) < len(inside)
        expect(rows(page, "candidates")).to_have_count(len(core))
        page.get_by_label("Up to level").press("ArrowRight")
        expect(page.locator("#level-said")).to_have_text("51 %")
        expect(rows(page, "candidates")).to_have_count(len(alerts_of(night, 0.51)))
        page.get_by_label("Each object once").check()
        expect(rows(page, "candidates")).to_have_count(len({row["object_id"] for row in alerts_of(night, 0.51)}))
        page.locator("#candidates tbody a").first.click()
        page.wait_for_url("**/objects/*")


def test_every_download_answers(browser: Browser, night: Night) -> None:
    with opened(browser, night.url, f"/events/{night.event}") as page:
        expect(rows(page, "candidates").first).to_be_visible()
        expect(page.locator("#downloads")).to_contain_text("Galaxies")
        page.locator("#levels button[value='50']").click()
        expect(page.locator("#downloads")).to_contain_text("Alerts, 50 %")
        links = {link.inner_text(): str(link.get_attribute("href")) for link in page.locator("#downloads a").all()}
        kinds = {}
        for name, href in links.items():
            answer = page.request.get(night.url + href)
            assert answer.ok, (name, href, answer.text())
            kinds[name] = (answer.headers["content-type"].partition(";")[0], answer.body())
    assert kinds["FITS"][1].startswith(b"SIMPLE  =")
    assert kinds["MOC FITS"][1].startswith(b"SIMPLE  =")
    assert kinds["whole sky PNG"][1].startswith(b"\x89PNG")
    assert kinds["close-up SVG"][0] == "image/svg+xml"
    assert b'role="observation"' in kinds["VOEvent"][1]
    assert night.event.encode() in kinds["VOEvent"][1]
    told = httpx.get(f"{night.url}{links['CSV']}", timeout=20)
    assert told.headers["content-type"].startswith("text/csv")


def test_the_csv_has_what_the_table_shows(night: Night) -> None:
    path = f"{night.url}/api/v1/events/{night.event}/alerts?level=0.5&format=csv"
    lines = httpx.get(path, timeout=20).text.splitlines()
    assert lines[0].startswith("alert_id,object_id,stream,time,ra,dec,mag,band,state,credible_level,volume_level")
    assert [line.split(",")[0] for line in lines[1:]] == [row["alert_id"] for row in alerts_of(night, 0.5)]
    first = httpx.get(f"{path}&limit=1", timeout=20)
    assert "cursor=" in first.headers["link"]


def test_galaxies_coincidences_and_the_close_up(browser: Browser, night: Night) -> None:
    with opened(browser, night.url, f"/events/{night.event}") as page:
        expect(rows(page, "galaxies").first).to_contain_text("G")
        probable = [float(share.removesuffix(" %")) for share in column(page, "galaxies", "Probability")]
        assert probable == sorted(probable, reverse=True)
        expect(page.get_by_role("button", name="Close-up")).to_have_attribute("aria-pressed", "true")
        before = page.locator("#sky").bounding_box()
        page.locator("#sky").focus()
        page.keyboard.press("ArrowRight")
        expect(page.locator("#spoken")).to_contain_text("inside")
        page.get_by_role("button", name="Whole sky").click()
        expect(page.get_by_role("button", name="Closer")).to_be_disabled()
        page.wait_for_function(
            "high => document.getElementById('sky').clientHeight < high", arg=before["height"] if before else 0
        )
        page.get_by_role("button", name="Close-up").click()
        page.get_by_role("button", name="Closer").click()
        page.locator("#sky").focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        page.wait_for_url("**/objects/*")


def test_the_close_up_is_the_sphere_there_and_back(browser: Browser, night: Night) -> None:
    with opened(browser, night.url, "/events") as page:
        worst = page.evaluate(
            "async () => { const { closeUp, wholeSky } = await import('/static/js/view.js');"
            " const { separation } = await import('/static/js/projection.js'); let worst = 0;"
            " for (const view of [wholeSky(), closeUp(0.2, -1, 3), closeUp(10, 89, 20), closeUp(200, -60, 45),"
            " closeUp(83, 22, 0.002)])"
            " for (let x = -1.9; x < 2; x += 0.19) for (let y = -0.9; y < 1; y += 0.1) { const place = view.backward(x, y);"
            " if (place === null) continue; const [back, up] = view.forward(...place);"
            " worst = Math.max(worst, Math.hypot(back - x, up - y)); } return worst; }"
        )
    assert worst < 1e-4


def test_the_list_of_events_hides_tests(browser: Browser, night: Night) -> None:
    with opened(browser, night.url, "/") as page:
        page.get_by_role("navigation").get_by_role("link", name="Events").click()
        expect(page.locator(f"#events tr[data-event='{night.event}']")).to_be_visible()
        names = page.locator("#events tbody a")
        assert night.mock not in names.all_inner_texts()
        page.get_by_label("Show tests").check()
        expect(page.locator(f"#events tr[data-event='{night.mock}']")).to_contain_text("test")
        page.get_by_label("State").select_option("update")
        expect(page.locator(f"#events tr[data-event='{night.mock}']")).to_have_count(0)
        assert set(column(page, "events", "State")) == {"update"}
        page.reload()  # the address has what was chosen
        expect(page.get_by_label("Show tests")).to_be_checked()
        expect(page.get_by_label("State")).to_have_value("update")
        page.get_by_label("State").select_option("")
        page.get_by_label("Messenger").select_option("Neutrino")
        expect(rows(page, "events")).to_have_count(1)
        page.get_by_label("Messenger").select_option("")
        page.get_by_label("Before").fill("2020-01-01")
        page.get_by_label("Before").press("Enter")
        expect(page.locator("#no-events")).to_be_visible()


def test_the_search_box_leads_to_the_right_page(browser: Browser, night: Night) -> None:
    alert = alerts_of(night, 0.9)[0]
    number = str(alert["alert_id"]).partition(":")[2]
    for asked, path in (
        (night.event.lower(), f"/events/{night.event}"),
        (str(alert["object_id"]), f"/objects/{alert['object_id']}"),
        (str(alert["object_id"]).lower(), f"/objects/{alert['object_id']}"),
        (str(alert["alert_id"]), f"/alerts/{quote(str(alert['alert_id']), safe='')}"),
        (number, f"/alerts/{quote(str(alert['alert_id']), safe='')}"),
    ):
        with opened(browser, night.url, "/events") as page:
            page.get_by_role("search").get_by_role("searchbox").fill(asked)
            page.keyboard.press("Enter")
            page.wait_for_url(f"**{path}")
            assert urlsplit(page.url).path == path
            page.wait_for_load_state("networkidle")


def test_the_search_box_takes_positions(browser: Browser, night: Night) -> None:
    alert = alerts_of(night, 0.9)[0]
    with opened(browser, night.url, "/search?q=" + quote("{ra} {dec} 2".format(**alert))) as page:
        expect(page.locator("#found tbody")).to_contain_text(str(alert["object_id"]))
        expect(page.locator("#understood")).to_contain_text("Within 2.0°")
        assert page.request.get(night.url + str(page.locator("#csv").get_attribute("href"))).ok
    with opened(browser, night.url, "/search?q=nobody") as page:
        expect(page.locator("#understood")).to_have_text("Nothing here goes by the name nobody.")
        read = page.evaluate(
            "async (texts) => { const { angles } = await import('/static/js/cone.js'); return texts.map(angles); }",
            [
                "187.7 12.39",
                '12:30:49.4 +12:23:28 30"',
                "12h30m49.4s -12d23m28s 5'",
                "12 30 49.4 -12 23 28 0.1",
                "187.7, \N{MINUS SIGN}12.39, 1 deg",
                "S240422ed",
                "147163",
            ],
        )
    assert [one and (one["ra"], one["dec"], round(one["radius"] * 3600, 6)) for one in read] == [
        ("187.7", "12.39", 60),
        ("12:30:49.4", "+12:23:28", 30),
        ("12h30m49.4s", "-12d23m28s", 300),
        ("12:30:49.4", "-12:23:28", 360),
        ("187.7", "-12.39", 3600),
        None,
        None,
    ]


@pytest.mark.parametrize("width", [390, 800, 1440])
def test_pages_fit_the_screen(browser: Browser, night: Night, width: int) -> None:
    for path in (f"/events/{night.event}", "/events", "/search?q=1 1", "/"):
        with opened(browser, night.url, path, viewport={"width": width, "height": 900}) as page:
            expect(page.get_by_role("searchbox")).to_be_visible()
            page.wait_for_timeout(300)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
