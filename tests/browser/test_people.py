"""Logging in, one's tokens and one's own filters, in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from broker.api.policy import Auth
from tests.api.people import PASSWORD, populate
from tests.api.world import served, world
from tests.browser.opening import opened

pytestmark = pytest.mark.browser


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with world(tmp_path) as here:
        populate(here.store)
        with served(replace(here.services, auth=Auth(required=True, public_read=False))) as address:
            yield address


def log_in(page: Page, name: str, password: str = PASSWORD) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("main").get_by_role("button", name="Log in").click()


def test_in_with_a_password_and_out_again(browser: Browser, url: str) -> None:
    with opened(browser, url, "/filters", refused=(401,)) as page:
        expect(page.locator("#failed")).to_contain_text("Log in")
        page.locator("#who").click()
        page.wait_for_url("**/login?next=*")
        log_in(page, "hypatia", "guessed")
        expect(page.locator("#failed")).to_contain_text("the name or the password is wrong")
        log_in(page, "hypatia")
        page.wait_for_url("**/filters")
        expect(page.locator("tr[data-filter=bright-transient]")).to_be_visible()
        page.locator("#who").filter(has_text="hypatia").click()
        expect(page.locator("#facts")).to_contain_text("moon (manager)")
        page.get_by_role("button", name="Log out").click()
        page.wait_for_url(url + "/")
        expect(page.locator("#who")).to_have_text("Log in")


@pytest.mark.parametrize(
    "there",
    [
        "https://example.org/",
        "//example.org/",
        "/\\\\example.org",
        "/.//example.org",
        "/a/..//example.org",
        "javascript:window.hit=1",
    ],
)
def test_nobody_is_led_elsewhere(browser: Browser, url: str, there: str) -> None:
    path = str(httpx.URL("/login", params={"next": there}))
    with opened(browser, url, path, refused=(401,)) as page:
        log_in(page, "theon")
        page.wait_for_url(url + "/")
        assert page.evaluate("window.hit") is None


def test_a_token_is_made_shown_once_and_revoked(browser: Browser, url: str) -> None:
    with opened(browser, url, "/login?next=/account") as page:
        log_in(page, "theon")
        page.wait_for_url("**/account")
        expect(page.locator("#no-tokens")).to_be_visible()
        page.get_by_label("For", exact=True).fill("<b>laptop</b>")
        page.get_by_role("checkbox", name="write:filters").check()
        page.get_by_role("button", name="Make a token").click()
        token = page.locator("#made code").inner_text()
        me = httpx.get(f"{url}/api/v1/me", headers={"Authorization": f"Bearer {token}"}, timeout=20).json()
        assert (me["user"], me["scopes"]) == ("theon", ["read", "write:filters"])
        expect(page.locator("#tokens")).to_contain_text("<b>laptop</b>")
        page.reload()
        expect(page.locator("#tokens")).to_contain_text("<b>laptop</b>")
        expect(page.locator("#made code")).to_have_count(0)
        page.get_by_role("button", name="Revoke").click()
        expect(page.locator("#tokens")).to_contain_text("revoked")
        answer = httpx.get(f"{url}/api/v1/filters", headers={"Authorization": f"Bearer {token}"}, timeout=20)
        assert answer.status_code == 401


def test_a_filter_of_ones_own_is_seen_by_nobody_else(browser: Browser, url: str) -> None:
    with opened(browser, url, "/login?next=/filters/new", refused=(404,)) as page:
        log_in(page, "theon")
        page.wait_for_url("**/filters/new")
        editor = page.get_by_role("textbox", name="Text of the filter")
        editor.fill('name = "mine"\nstream = "ztf"\ndescription = "Mine"\nwhere = "mag < 18"\n')
        page.get_by_label("Seen by").select_option("me alone")
        page.get_by_role("button", name="Save as a draft").click()
        page.wait_for_url("**/filters/mine")
        expect(page.locator("#facts")).to_contain_text("private")
    with opened(browser, url, "/login?next=/filters/mine", refused=(404,)) as page:
        log_in(page, "stranger")
        page.wait_for_url("**/filters/mine")
        expect(page.locator("#failed")).to_contain_text("Not found")
