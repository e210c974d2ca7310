"""Watchlists as somebody sends them in a browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.api.world import served, world
from tests.browser.opening import opened

pytestmark = pytest.mark.browser


def table(folder: Path, count: int, name: str = "targets.csv") -> Path:
    file = folder / name
    file.write_text("id,ra,dec,note\n" + "".join(f"T{number},{number}.5,-{number}.25,x\n" for number in range(count)))
    return file


def test_a_list_is_sent_refused_replaced_and_had_again(browser: Browser, tmp_path: Path) -> None:
    with world(tmp_path) as here, served(here.services) as url, opened(browser, url, "/watchlists", refused=(400, 409)) as page:
        expect(page.locator("#no-lists")).to_be_visible()
        page.locator("#send").get_by_label("Name").fill("followed")
        page.locator("#send").get_by_label("Radius").fill("3")
        page.locator("#send").get_by_label("Description").fill("<b>ours</b>")
        page.locator("#send").get_by_label("File").set_input_files(table(tmp_path, 12))
        page.get_by_role("button", name="Send").click()
        expect(page.locator("#said")).to_have_text("followed: version 1, 12 targets. Columns not kept: note.")
        row = page.locator("tr[data-list=followed]")
        expect(row).to_contain_text("<b>ours</b>")
        expect(row.locator("td.num")).to_have_text(["12", "3″", "1"])
        page.locator("#send").get_by_label("Name").fill("followed")
        page.locator("#send").get_by_label("File").set_input_files(table(tmp_path, 5))
        page.get_by_role("button", name="Send").click()
        expect(page.get_by_role("alert").filter(has_text="there is a watchlist")).to_be_visible()
        page.get_by_role("button", name="Replace its targets").click()
        expect(page.locator("#said")).to_contain_text("version 2, 5 targets")
        expect(row.locator("td.num")).to_have_text(["5", "3″", "2"])
        told = page.request.get(url + str(row.get_by_role("link", name="followed as CSV").get_attribute("href"))).text()
        assert told.count("\nT") == 5
        (tmp_path / "none.csv").write_text("id,what\na,b\n")
        page.locator("#send").get_by_label("Name").fill("nothing")
        page.locator("#send").get_by_label("File").set_input_files(tmp_path / "none.csv")
        page.get_by_role("button", name="Send").click()
        expect(page.locator("#refused")).not_to_be_empty()
        expect(page.locator("#replace")).to_be_hidden()
        expect(page.locator("tr[data-list=nothing]")).to_have_count(0)
