"""Filters as somebody writes, tries and judges them in a browser, over a night that was processed."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.opening import Night, opened
from tests.browser.test_pages import CONTRAST

pytestmark = pytest.mark.browser

TEXT = 'name = "{name}"\nversion = 1\nstream = "ztf"\ndescription = "{said}"\nwhere = "{where}"\n'
HOSTILE = "<img src=x onerror=window.hit=1><script>window.hit=1</script>' \\\" &amp;"


def text_of(name: str, where: str, said: str = "Tried by the tests") -> str:
    return TEXT.format(name=name, where=where, said=said)


def ask(url: str, method: str, path: str, **body: Any) -> Any:
    answer = httpx.request(method, f"{url}/api/v1/{path}", json=body or None, timeout=60)
    assert answer.is_success, answer.text
    return answer.json()


def editor(page: Page) -> Locator:
    return page.get_by_role("textbox", name="Text of the filter")


def write(page: Page, where: str) -> None:
    """Type at the end of the condition of a text whose last line it is."""
    expect(editor(page)).to_be_editable()
    editor(page).press("Control+End")
    for key in ("ArrowUp", "End", "ArrowLeft"):
        editor(page).press(key)
    page.keyboard.type(where)


def test_from_an_idea_to_live_and_retired(browser: Browser, night: Night) -> None:
    wrong = text_of("idea", "mag < 18 AND candidate.rbb > 0.65")
    right = wrong.replace("rbb", "rb")
    with opened(browser, night.url, "/filters") as page:
        page.get_by_role("link", name="New filter").click()
        expect(page.locator("#verdict")).to_contain_text("Nothing is wrong")
        editor(page).fill(wrong)
        expect(page.locator("#under .fault")).to_have_text("candidate.rbb")
        expect(page.locator("#faults")).to_contain_text("Line 5, column 23: unknown column 'candidate.rbb'")
        expect(editor(page)).to_have_attribute("aria-invalid", "true")
        page.get_by_role("button", name="Write candidate.rb").click()
        expect(editor(page)).to_have_value(right)
        expect(page.locator("#verdict")).to_have_text("Nothing is wrong")
        expect(page.locator("#under .fault")).to_have_count(0)
        funnel_tells_what_the_api_tells(page, night, right)
        page.get_by_role("button", name="Save as a draft").click()
        page.wait_for_url("**/filters/idea")
        expect(page.locator("#which")).to_have_text("Version 1, draft")
        backtest_tells_what_it_would_have_picked(page, night, right)
        page.get_by_role("button", name="Go live").click()
        expect(page.locator("#said")).to_have_text("Version 1 is live.")
        expect(page.locator("#state")).to_have_text("live: version 1")
        page.get_by_role("link", name="Filters").click()
        expect(page.locator("tr[data-filter=idea]")).to_contain_text("live")
        page.get_by_role("link", name="idea").click()
        page.get_by_role("button", name="Retire").click()
        expect(page.locator("#said")).to_have_text("Version 1 is retired.")
        page.get_by_text("Who did what").click()
        changes = [line.split(": ")[-1] for line in page.locator("#history li").all_inner_texts()]
        assert changes == [f"version 1 {state}" for state in ("retired", "live", "tested", "draft")]
        page.get_by_role("link", name="Filters").click()
        expect(page.locator("tr[data-filter=ztf_bright_transients]")).to_be_visible()
        expect(page.locator("tr[data-filter=idea]")).to_have_count(0)
        page.get_by_label("Show those that are not live").check()
        expect(page.locator("tr[data-filter=idea]")).to_contain_text("retired")


def funnel_tells_what_the_api_tells(page: Page, night: Night, text: str) -> None:
    told = ask(night.url, "POST", "filters/explain", text=text)
    page.get_by_role("button", name="Funnel").click()
    expect(page.locator("#funnel-said")).to_have_text(f"{told['matched']} of {told['evaluated']} alerts pass.")
    rows = page.locator("#funnel tr")
    expect(rows).to_have_count(2)
    for row, clause in zip(rows.all(), told["clauses"], strict=True):
        counts = [int(one) for one in row.locator(".part .num:not(.quiet)").all_inner_texts()]
        assert row.locator(".clause").inner_text() == clause["text"]
        assert counts == [clause["passes_alone"], clause["passes_in_order"]]
    share = 100 * told["clauses"][1]["passes_in_order"] / told["evaluated"]
    drawn = rows.last.locator(".order i").evaluate("(bar) => parseFloat(bar.style.getPropertyValue('--part'))")
    assert abs(drawn - share) < 0.01


def backtest_tells_what_it_would_have_picked(page: Page, night: Night, text: str) -> None:
    told = ask(night.url, "POST", "filters/explain", text=text)
    page.get_by_role("button", name="Backtest").click()
    expect(page.locator("#backtest")).to_be_visible(timeout=60_000)
    expect(page.locator("#running")).to_be_hidden()
    figures = dict(
        zip(page.locator("#expected dt").all_inner_texts(), page.locator("#expected dd").all_inner_texts(), strict=True)
    )
    assert (figures["Picked"], figures["Of alerts seen"]) == (str(told["matched"]), str(told["evaluated"]))
    for plot in ("nights", "magnitudes"):
        bars = page.locator(f"#{plot} .bar").evaluate_all("(bars) => bars.map((bar) => Number(bar.dataset.value))")
        assert sum(bars) == told["matched"]
    assert page.request.get(night.url + str(page.locator("#plot").get_attribute("href"))).body().startswith(b"\x89PNG")
    cards = page.locator("#samples .card")
    assert 0 < cards.count() <= told["matched"]
    where = page.url
    cards.first.get_by_role("link").click()
    page.wait_for_url("**/alerts/ztf*")
    expect(page.locator("#facts")).to_contain_text("ztf")
    page.goto(where)  # it names the backtest, which is shown again
    expect(page.locator("#expected")).to_contain_text(figures["Share"])


def test_what_would_pick_too_much_is_refused_unless_forced(browser: Browser, night: Night) -> None:
    ask(night.url, "POST", "filters", text=text_of("greedy", "mag < 30"))
    with opened(browser, night.url, "/filters/greedy", refused=(400, 409)) as page:
        expect(page.locator("#which")).to_have_text("Version 1, draft")
        page.get_by_role("button", name="Go live").click()
        expect(page.get_by_role("alert").filter(has_text="Refused")).to_contain_text("picks 100.0% of the alerts")
        expect(page.locator("#state")).to_have_text("not live")
        page.get_by_role("button", name="Do it all the same").click()
        expect(page.locator("#state")).to_have_text("live: version 1")
        expect(page.locator("#refused")).to_be_hidden()
        page.get_by_role("button", name="Retire").click()
        expect(page.locator("#state")).to_have_text("not live")
        example = text_of("wrong_example", "mag < 15") + "\n[[example]]\nalert = { mag = 17.0 }\nmatches = true\n"
        ask(night.url, "POST", "filters", text=example)
        page.goto(f"{night.url}/filters/wrong_example")
        page.get_by_role("button", name="Test", exact=True).click()
        expect(page.locator("#refused")).to_contain_text("example 1")
        expect(page.locator("#force")).to_have_count(0)  # that cannot be overruled


def test_completion_by_keyboard_and_by_hand(browser: Browser, night: Night) -> None:
    known = {one["name"]: one for one in ask(night.url, "GET", "streams/ztf/columns")["items"]}
    offers = "#offers [role=option]"
    with opened(browser, night.url, "/filters/new") as page:
        expect(page.locator("#columns tr").first).to_be_visible()
        write(page, " AND candidate.dis")
        chosen = page.locator(f"{offers}[aria-selected=true]")
        expect(chosen.locator("b")).to_have_text("candidate.distnr")
        assert set(page.locator(f"{offers} b").all_inner_texts()) <= set(known)
        expect(chosen).to_contain_text(known["candidate.distnr"]["meaning"])
        page.keyboard.press("ArrowDown")
        second = chosen.locator("b").inner_text()
        assert second != "candidate.distnr"
        expect(page.locator("#spoken")).to_contain_text(f"{second}, {known[second]['type']}")
        assert editor(page).get_attribute("aria-activedescendant") == chosen.get_attribute("id")
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Enter")
        expect(page.locator("#offers")).to_be_hidden()
        page.keyboard.type(" < 5 AND abs(galactic_la")
        expect(chosen.locator("b")).to_have_text("galactic_lat()")
        page.keyboard.press("Tab")
        page.keyboard.type(") > 10 AND mag")
        expect(page.locator(offers).first).to_be_hidden()  # it is a name already
        page.keyboard.press("Control+Space")
        expect(page.locator("#offers")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator("#offers")).to_be_hidden()
        page.keyboard.type("_err < 0.2 AND gaia.s")
        page.locator(offers).filter(has_text="gaia.sep").click()
        page.keyboard.type(" IS NULL")
        where = "mag < 18 AND candidate.distnr < 5 AND abs(galactic_lat()) > 10 AND mag_err < 0.2 AND gaia.sep IS NULL"
        expect(editor(page)).to_have_value(text_of("my_filter", where, "What it finds, in a sentence"))
        expect(page.locator("#verdict")).to_have_text("Nothing is wrong")
        editor(page).press("Control+z")
        expect(editor(page)).not_to_have_value(text_of("my_filter", where, "What it finds, in a sentence"))  # typed, so undone
        page.get_by_label("Containing").fill("real-bogus")
        expect(page.locator("#columns")).to_contain_text("candidate.rb")
        assert page.locator("#columns tr").count() < len(known) / 4
        page.on("dialog", lambda dialog: dialog.accept())


def test_what_is_offered_nowhere_else(browser: Browser, night: Night) -> None:
    with opened(browser, night.url, "/filters/new", refused=(404,)) as page:  # there is no stream zt
        expect(page.locator("#columns tr").first).to_be_visible()
        editor(page).fill('name = "mine"\nstream = "zt"\nwhere = """\nband = \'ma\n"""\n')
        editor(page).press("Control+End")
        for key in ("ArrowUp", "ArrowUp", "End"):
            page.keyboard.press(key)
        page.keyboard.type("g")  # within a text of SQL
        page.keyboard.press("Control+Space")
        editor(page).press("Control+Home")
        page.keyboard.press("Control+Space")  # in no condition
        expect(page.locator("#offers")).to_be_hidden()
        for key in ("ArrowDown", "End", "ArrowLeft", "Control+Space"):
            page.keyboard.press(key)
        expect(page.locator("#offers [role=option]")).to_have_text("ztfstream")
        page.keyboard.press("Enter")
        expect(editor(page)).to_have_value('name = "mine"\nstream = "ztf"\nwhere = """\nband = \'mag\n"""\n')
        page.on("dialog", lambda dialog: dialog.accept())


def test_two_edits_at_once(browser: Browser, night: Night) -> None:
    ask(night.url, "POST", "filters", text=text_of("shared", "mag < 16"))
    with opened(browser, night.url, "/filters/shared", refused=(409,)) as page:
        expect(editor(page)).to_have_value(text_of("shared", "mag < 16"))
        write(page, " AND positive")
        ask(night.url, "PUT", "filters/shared", text=text_of("shared", "mag < 15"), base=1)
        page.get_by_role("button", name="Save as a draft").click()
        told = page.get_by_role("group", name="Somebody edited it meanwhile")
        expect(told).to_contain_text("kept version 2")
        expect(told.locator(".d-gone").last).to_contain_text("mag < 15")
        expect(told.locator(".d-new").last).to_contain_text("mag < 16 AND positive")
        expect(page.locator("#dirty")).to_be_visible()  # nothing of ours is lost
        told.get_by_role("button", name="Save mine after theirs").click()
        expect(page.locator("#said")).to_have_text("Kept as version 3, a draft.")
        expect(told).to_be_hidden()
        wheres = [one["where"] for one in ask(night.url, "GET", "filters/shared/versions")["items"]]
        assert wheres == ["mag < 16", "mag < 15", "mag < 16 AND positive"]
        page.get_by_label("changed of").select_option("1")
        expect(page.locator("#difference .d-new mark")).to_have_text(["3", " AND positive"])
        write(page, " AND ra > 1")
        ask(night.url, "PUT", "filters/shared", text=text_of("shared", "mag < 14"), base=3)
        page.get_by_role("button", name="Save as a draft").click()
        page.once("dialog", lambda dialog: dialog.accept())
        told.get_by_role("button", name="Drop mine, open theirs").click()
        expect(editor(page)).to_have_value(text_of("shared", "mag < 14").replace("version = 1", "version = 4"))
        page.get_by_role("button", name="Version 1").click()
        expect(editor(page)).to_have_value(text_of("shared", "mag < 16"))


def test_what_is_not_kept_is_not_lost(browser: Browser, night: Night) -> None:
    asked: list[str] = []

    def stay(dialog: Any) -> None:
        asked.append(dialog.type)
        dialog.dismiss() if len(asked) == 1 else dialog.accept()

    with opened(browser, night.url, "/filters/new") as page:
        write(page, " AND positive")
        page.on("dialog", stay)
        page.get_by_role("link", name="Events").click(no_wait_after=True)
        expect(page.locator("#dirty")).to_be_visible()
        assert asked == ["beforeunload"]
        assert page.url.endswith("/filters/new")
        page.get_by_role("link", name="Events").click()
        page.wait_for_url("**/events")


def test_an_alert_tells_why_or_why_not(browser: Browser, night: Night) -> None:
    picked = ask(night.url, "GET", "matches?filter=ztf_bright_transients&limit=1")["items"][0]["alert"]["alert_id"]
    steps = ask(night.url, "GET", f"alerts/{quote(picked, safe='')}/trace")["steps"]
    with opened(browser, night.url, f"/alerts/{quote(picked, safe='')}") as page:
        page.get_by_text("Show which filters picked or dropped it").click()
        rows = page.locator("#verdicts tr")
        expect(rows).to_have_count(sum(step["step"] in {"matched", "dropped"} for step in steps))
        expect(page.locator("#verdicts tr[data-filter=ztf_bright_transients]")).to_contain_text("picked")
        dropped = [step for step in steps if step["step"] == "dropped"]
        assert dropped
        for step in dropped:
            row = page.locator(f"#verdicts tr[data-filter={step['filter']}]")
            expect(row).to_contain_text("dropped")
            expect(row.locator("code")).to_have_text(step["clause"])
        expect(page.locator("#steps")).to_contain_text("Received")
        page.locator("#verdicts a").first.click()
        page.wait_for_url("**/filters/*")


def test_hostile_texts_are_texts(browser: Browser, night: Night) -> None:
    url = night.url
    where = f"object_id = '{HOSTILE.replace(chr(39), '')}'"
    text = text_of("hostile", where, HOSTILE)
    ask(url, "POST", "filters", text=text)
    later = text.replace("description", "tests = true # </textarea><script>window.hit=1</script>\ndescription")
    ask(url, "PUT", "filters/hostile", text=later, base=1)
    with opened(browser, url, "/filters", refused=(400,)) as page:
        page.get_by_label("Show those that are not live").check()
        expect(page.locator("tr[data-filter=hostile]")).to_contain_text("<img src=x")
        page.get_by_role("link", name="hostile").click()
        expect(editor(page)).to_have_value(later.replace("version = 1", "version = 2"))
        expect(page.locator("#facts")).to_contain_text("<img src=x")
        expect(page.locator("#difference .d-new").last).to_contain_text("</textarea>")
        assert page.locator("main img, main script").count() == 0
        editor(page).fill(text + "<b onclick=1>")
        expect(page.locator("#faults li")).to_have_count(1)
        assert page.evaluate("window.hit") is None
        page.on("dialog", lambda dialog: dialog.accept())
    with opened(browser, url, f"/filters/{quote(HOSTILE.replace('/', ''), safe='')}", refused=(404,)) as page:
        expect(page.locator("#failed")).to_contain_text("Not found")
        assert page.locator("main img, main script").count() == 0
        assert page.evaluate("window.hit") is None


def test_a_filter_called_new_has_a_page(browser: Browser, night: Night) -> None:
    url = night.url
    ask(url, "POST", "filters", text=text_of("new", "mag < 12"))
    with opened(browser, url, "/filters") as page:
        page.get_by_label("Show those that are not live").check()
        page.locator("tr[data-filter=new] a").click()
        expect(editor(page)).to_have_value(text_of("new", "mag < 12"))
        expect(page.get_by_role("heading", level=1)).to_have_text("new")


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_text_stands_out(browser: Browser, night: Night, scheme: str) -> None:
    with opened(browser, night.url, "/filters/ztf_nuclear_transients", color_scheme=scheme) as page:
        page.get_by_role("button", name="Funnel").click()
        expect(page.locator("#funnel tr").first).to_be_visible()
        page.get_by_role("button", name="Backtest").click()
        expect(page.locator("#samples .card").first).to_be_visible(timeout=60_000)
        write(page, "x = ")
        expect(page.locator("#under .fault").first).to_be_visible()
        assert page.evaluate(CONTRAST) == []
        page.on("dialog", lambda dialog: dialog.accept())


def test_a_phone_shows_all_of_it(browser: Browser, night: Night) -> None:
    options = {"viewport": {"width": 390, "height": 800}, "has_touch": True}
    with opened(browser, night.url, "/filters/ztf_nuclear_transients", **options) as page:
        page.get_by_role("button", name="Funnel").click()
        expect(page.locator("#funnel tr").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        wide = page.evaluate("[document.getElementById('under').offsetHeight, document.getElementById('text').scrollHeight]")
        assert wide[0] == wide[1]  # what is coloured lies under what is written, line for line
        page.goto(f"{night.url}/filters")
        expect(page.locator("#filters tbody tr").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
