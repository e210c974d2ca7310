"""Subscriptions as somebody makes, tries and mends them in a browser, with real senders and a real receiver."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
import standardwebhooks
from playwright.sync_api import Browser, Page, expect

from broker.api.policy import Auth
from broker.store import subscriptions
from broker.wiring import deliver, serving
from broker.wiring.parts import Parts
from tests.api.people import PASSWORD, populate
from tests.api.subscribed import SETTINGS, filter_named, parts_in
from tests.api.test_ownership import ingest
from tests.api.world import served
from tests.browser.opening import opened
from tests.browser.test_pages import CONTRAST
from tests.browser.test_people import log_in

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=window.hit=1>"
START = datetime(2026, 8, 1, 4, tzinfo=UTC)


class Receiver(ThreadingHTTPServer):
    """A subscriber's server, that takes what it is sent, or wants no more."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Taking)
        self.gone = False
        self.had: list[tuple[dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook"


class Taking(BaseHTTPRequestHandler):
    """Its answers."""

    server: Receiver
    protocol_version: ClassVar[str] = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        said = HOSTILE.encode() if self.server.gone else b""
        if not self.server.gone:
            self.server.had.append((dict(self.headers.items()), body))
        self.send_response(410 if self.server.gone else 200)
        self.send_header("content-length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@contextmanager
def delivering(parts: Parts) -> Iterator[None]:
    """With senders at work."""
    stop = threading.Event()
    thread = threading.Thread(target=deliver.deliver, args=(parts, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    with parts_in(tmp_path, SETTINGS + "breaker_failures = 1000\n") as made:
        yield made


@contextmanager
def page_of(browser: Browser, parts: Parts, **options: Any) -> Iterator[tuple[str, Page]]:
    """The page, where a filter is live that picks everything."""
    with served(replace(serving.services(parts), heartbeat=1.0)) as url:
        with httpx.Client(base_url=url, timeout=60) as client:
            filter_named(client, "everything")
            live = client.post("/api/v1/filters/everything/versions/1/state", json={"state": "live", "force": True})
            assert live.status_code == 200, live.text
        with opened(browser, url, "/subscriptions", **options) as page:
            yield url, page


def subscribe(page: Page, address: str, **more: str) -> None:
    form = page.locator("#subscribe")
    form.get_by_label("Filters").select_option("everything")
    form.get_by_label("Address").fill(address)
    for name, value in more.items():
        form.locator(f"[name={name}]").fill(value)
    page.get_by_role("button", name="Subscribe", exact=True).click()


def test_from_an_address_to_deliveries_that_fail_and_are_sent_again(browser: Browser, parts: Parts, receiver: Receiver) -> None:
    with page_of(browser, parts) as (_, page), delivering(parts):
        expect(page.locator("#no-subscriptions")).to_be_visible()
        subscribe(page, receiver.url, note=HOSTILE)
        secret = page.locator("#made code").inner_text()
        row = page.locator("tr[data-subscription]")
        expect(row).to_contain_text(receiver.url)
        expect(row).to_contain_text(HOSTILE)
        row.get_by_role("button", name="Test").click()
        expect(page.locator("#said")).to_contain_text("delivered after")
        ((headers, body),) = receiver.had
        assert standardwebhooks.Webhook(secret).verify(body, headers)["type"] == "test"
        receiver.gone = True
        ingest(parts, 5, 3, START)
        page.get_by_label("Show").select_option("failed")
        failed = page.locator("tr[data-delivery]")
        poll(page, "failed", 3)
        expect(failed).to_have_count(3)
        expect(failed.first).to_contain_text("410")
        expect(row.locator(".warned")).to_have_text("3")
        receiver.gone = False
        failed.first.get_by_role("button", name="Replay").click()
        expect(failed).to_have_count(2)
        page.get_by_label("Show").select_option("delivered")
        poll(page, "delivered", 2)  # with the test
        told = json.loads(receiver.had[-1][1])
        assert told["data"]["filter"] == "everything"
        page.reload()
        expect(row).to_be_visible()
        shown = page.evaluate(P50, row.get_attribute("data-subscription"))
        assert float(shown) > 0
        expect(row.locator("td.num").first).to_have_text(shown)
        expect(page.locator("#made code")).to_have_count(0)
        assert secret not in page.content()
        assert page.evaluate("window.hit") is None
        assert page.evaluate(CONTRAST) == []


def test_what_there_was_no_room_for_is_told(browser: Browser, parts: Parts, receiver: Receiver) -> None:
    with page_of(browser, parts) as (_, page):
        subscribe(page, receiver.url)
        row = page.locator("tr[data-subscription]")
        expect(row).to_be_visible()
        expect(row).not_to_contain_text("left out")
        subscriptions.leave_out(parts.store, {str(row.get_attribute("data-subscription")): 1234})
        page.reload()
        expect(row).to_contain_text("left out, last ")
        assert page.evaluate(CONTRAST) == []


P50 = """async (id) => {
  const { p50 } = await (await fetch(`/api/v1/subscriptions/${id}/latency`)).json();
  return p50 < 10 ? p50.toFixed(2) : p50.toFixed(0);
}"""


def poll(page: Page, state: str, count: int) -> None:
    """Wait until so many deliveries are in a state, and have the page read them."""
    until = time.monotonic() + 60
    while (
        len(page.request.get(f"{page.url.removesuffix('/subscriptions')}/api/v1/deliveries?state={state}").json()["items"])
        < count
    ):
        assert time.monotonic() < until, f"not {count} {state}"
        page.wait_for_timeout(100)
    page.get_by_label("Show").select_option("")
    page.get_by_label("Show").select_option(state)


def test_paused_resumed_and_ended(browser: Browser, parts: Parts) -> None:
    with page_of(browser, parts) as (_, page):
        page.on("dialog", lambda dialog: dialog.accept())
        subscribe(page, "http://127.0.0.1:9/", rate="30", digest="15", start="22:00", end="07:00", zone="Europe/Rome")
        row = page.locator("tr[data-subscription]")
        expect(row).to_contain_text("together every 15 min, 30 a minute, not 22:00 to 07:00 Europe/Rome")
        row.get_by_role("button", name="Pause").click()
        expect(row.locator(".state")).to_have_text("paused")
        row.get_by_role("button", name="Resume").click()
        expect(row.locator(".state")).to_have_text("active")
        row.get_by_role("button", name="Remove").click()
        expect(row).to_have_count(0)
        expect(page.locator("#no-subscriptions")).to_be_visible()


def test_what_cannot_be_is_told(browser: Browser, parts: Parts) -> None:
    with page_of(browser, parts, refused=(400,)) as (_, page):
        subscribe(page, "http://10.0.0.1/hook")
        expect(page.locator("#refused")).to_contain_text("deliver.allow")
        expect(page.locator("#made")).to_be_empty()
        expect(page.locator("tr[data-subscription]")).to_have_count(0)
        subscribe(page, "http://127.0.0.1:9/", zone="Nowhere/At_all", start="22:00", end="07:00")
        expect(page.locator("#refused")).to_contain_text("Nowhere/At_all")


@pytest.mark.parametrize("width", [390, 1440])
def test_messages_and_a_narrow_window(browser: Browser, parts: Parts, width: int) -> None:
    with page_of(browser, parts, viewport={"width": width, "height": 900}, color_scheme="dark") as (_, page):
        page.locator("#subscribe [name=channel]").select_option("message")
        expect(page.locator("#format")).to_be_hidden()
        subscribe(page, f"mailtos://hypatia:{PASSWORD.replace(' ', '-')}@example.org?to=theon@example.org")
        row = page.locator("tr[data-subscription]")
        expect(row).to_contain_text("example.org")
        assert PASSWORD.replace(" ", "-") not in page.content()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(CONTRAST) == []


def test_whose_they_are(browser: Browser, parts: Parts) -> None:
    populate(parts.store)
    with page_of(browser, parts):
        pass  # for its filter
    services = replace(serving.services(parts), auth=Auth(required=True))
    with served(services) as url:
        with opened(browser, url, "/subscriptions") as page:
            expect(page.locator("#failed")).to_contain_text("Log in")
            page.locator("#failed").get_by_role("link", name="Log in").click()
            page.wait_for_url("**/login?next=*")
            log_in(page, "hypatia")
            page.wait_for_url("**/subscriptions")
            subscribe(page, "http://127.0.0.1:9/")
            expect(page.locator("tr[data-subscription]")).to_have_count(1)
        with opened(browser, url, "/login?next=/subscriptions") as page:
            log_in(page, "stranger")
            page.wait_for_url("**/subscriptions")
            expect(page.locator("#no-subscriptions")).to_be_visible()
