"""The pages as somebody sees them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from playwright.sync_api import Browser, expect

from tests.api.world import IVORN, World, served, survey_alert, world
from tests.browser.opening import opened

pytestmark = pytest.mark.browser


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


def test_matches_appear_as_they_are_published(browser: Browser, here: World) -> None:
    with served(here.services) as url, opened(browser, url) as page:
        expect(page.locator("#live")).to_have_text("live")
        rows = page.locator("#matches tr")
        expect(rows.first).to_be_visible()
        before = rows.count()
        here.publish(survey_alert(700))
        expect(rows).to_have_count(before + 1)
        expect(rows.first).to_contain_text("ZTF24aa00700")
        here.publish(survey_alert(701), "brand-new")
        expect(page.locator("#legend")).to_contain_text("brand-new")


def test_a_match_leads_to_light_curve_cutouts_and_crossmatches(browser: Browser, here: World) -> None:
    with served(here.services) as url, opened(browser, url) as page:
        expect(page.locator("#live")).to_have_text("live")
        here.publish(survey_alert(703))
        page.get_by_role("link", name="ZTF24aa00703").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("ZTF24aa00703")
        for kind in ("detection", "forced", "limit"):
            expect(page.locator(f"#curve .point[data-kind={kind}]").first).to_be_attached()
        stamps = page.locator("#stamps img")
        expect(stamps).to_have_count(3)
        assert [stamp.get_attribute("data-kind") for stamp in stamps.all()] == ["science", "template", "difference"]
        for stamp in stamps.all():
            expect(stamp).to_have_js_property("naturalWidth", 252)
        assert all(stamp.get_attribute("alt") for stamp in stamps.all())
        expect(page.locator("#near")).to_contain_text("gaia")
        page.locator("#alerts a").first.click()
        expect(page.locator("#facts")).to_contain_text("bright-transient")
        expect(page.locator("#curve .point").first).to_be_attached()


def test_a_click_on_the_sky_opens_what_is_there(browser: Browser, here: World) -> None:
    with served(here.services) as url, opened(browser, url) as page:
        expect(page.locator("#events")).to_contain_text("GRB240422A")
        canvas = page.locator("#sky")
        place = page.evaluate(
            "async () => { const { mollweide } = await import('/static/js/projection.js');"
            " const canvas = document.getElementById('sky'); const [x, y] = mollweide(133.2, 42.7);"
            " const scale = (canvas.clientWidth - 20) / 4;"
            " return [canvas.clientWidth / 2 + x * scale, canvas.clientHeight / 2 - y * scale]; }"
        )
        canvas.hover(position={"x": place[0], "y": place[1]})
        expect(page.locator("#tip")).to_contain_text("GRB240422A")
        canvas.click(position={"x": place[0], "y": place[1]})
        page.wait_for_url("**/alerts/**")
        assert urlsplit(page.url).path == f"/alerts/{quote(IVORN, safe='')}"
        expect(page.locator("#facts")).to_contain_text("Fermi")
        expect(page.locator("#fields-text")).to_contain_text("Fermi#GBM_Alert")


def test_the_sky_goes_by_keyboard(browser: Browser, here: World) -> None:
    with served(here.services) as url, opened(browser, url) as page:
        expect(page.locator("#matches tr").first).to_be_visible()
        expect(page.locator("#legend button")).to_have_count(3)
        page.locator("#sky").focus()
        page.keyboard.press("ArrowRight")
        expect(page.locator("#tip")).to_be_visible()
        expect(page.locator("#spoken")).not_to_be_empty()
        page.keyboard.press("Enter")
        page.wait_for_url("**/alerts/gcn*")  # the latest match is the burst


def test_a_ledger_that_does_not_add_up_is_loud(browser: Browser, here: World) -> None:
    with served(here.services) as url, opened(browser, url) as page:
        expect(page.locator("#verdict")).to_contain_text("accounted for")
        expect(page.locator("#alarm")).to_be_hidden()
        expect(page.locator("#lag")).to_contain_text("raw.ztf/0")
        here.ledger["ztf"]["published"] -= 3
        expect(page.locator("#alarm")).to_be_visible(timeout=10_000)
        expect(page.locator("#alarm")).to_contain_text("3 went missing in ztf")


def test_a_filter_can_be_hidden_and_the_table_held(browser: Browser, here: World) -> None:
    with served(here.services) as url, opened(browser, url) as page:
        expect(page.locator("#live")).to_have_text("live")
        shown = page.locator("#matches tr[data-filter=young-supernova]:visible")
        expect(shown.first).to_be_visible()
        page.locator("#legend button[data-name=young-supernova]").click()
        expect(shown).to_have_count(0)
        page.locator("#pause").click()
        here.publish(survey_alert(720))
        expect(page.locator("#pause")).to_contain_text("(1)")
        assert page.get_by_role("link", name="ZTF24aa00720").count() == 0
        page.locator("#pause").click()
        expect(page.get_by_role("link", name="ZTF24aa00720")).to_be_visible()


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("path", ["/", "/objects/ZTF24aa00001", "/events", "/events/S240422ed", "/search", "/api", "/filters"])
def test_text_stands_out(browser: Browser, here: World, scheme: str, path: str) -> None:
    with served(here.services) as url, opened(browser, url, path, color_scheme=scheme) as page:
        expect(page.locator("main h1")).to_be_attached()
        page.wait_for_load_state("networkidle") if path != "/" else expect(page.locator("#matches tr").first).to_be_visible()
        assert page.evaluate(CONTRAST) == []


CONTRAST = """() => {
  const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
  const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => [r, g, b].map((v) => linear(v / 255))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = numbers(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const low = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility() || element.closest(".hidden, .skip, svg")) continue;
    const [one, other] = [light(numbers(getComputedStyle(element).color)), light(ground(element))].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (other + 0.05);
    const name = `${element.tagName} ${element.className} ${element.textContent.trim().slice(0, 30)}`;
    if (ratio < 4.5) low.push(`${name}: ${ratio.toFixed(2)}`);
  }
  return low;
}"""


def test_sun_and_moon_are_where_astropy_has_them(browser: Browser, here: World) -> None:
    from astropy.coordinates import get_body
    from astropy.time import Time
    from astropy.utils import iers

    when = "2025-03-29T06:00:00"
    with served(here.services) as url, opened(browser, url) as page:
        places = page.evaluate(
            "async (when) => { const { sun, moon } = await import('/static/js/projection.js');"
            " const date = new Date(`${when}Z`); return [sun(date), moon(date)]; }",
            when,
        )
    with iers.conf.set_temp("auto_download", False):
        for name, (ra, dec), room in zip(("sun", "moon"), places, (0.4, 0.7), strict=True):
            body = get_body(name, Time(when, scale="utc"))
            assert abs(body.ra.degree - ra) < room, name
            assert abs(body.dec.degree - dec) < room, name


def test_what_is_not_there_is_told(browser: Browser, here: World) -> None:
    with served(here.services) as url:
        page = browser.new_page()
        page.goto(f"{url}/objects/nobody")
        expect(page.locator("#failed")).to_contain_text("Not found")
        page.close()
