"""Pages as they are opened in tests, and what a night is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Page


@contextmanager
def opened(browser: Browser, url: str, path: str = "/", *, refused: tuple[int, ...] = (), **options: Any) -> Iterator[Page]:
    """A page on which nothing goes wrong, and nothing is fetched from anywhere else.

    Parameters
    ----------
    refused
        Status of answers that the test provokes: the browser's console tells of them, too.
    """
    wrong: list[str] = []
    told = tuple(f"Failed to load resource: the server responded with a status of {status}" for status in refused)
    context = browser.new_context(**{"viewport": {"width": 1440, "height": 1000}, **options})
    page = context.new_page()

    def heard(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            wrong.append(f"{message.text} ({message.location['url']})")

    page.on("console", heard)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: wrong.append(request.url) if not request.url.startswith((url, "data:")) else None)
    page.goto(url + path)
    yield page
    context.close()
    unprovoked = [text for text in wrong if not text.startswith(told or "\0")]
    assert unprovoked == [], unprovoked


@dataclass(frozen=True)
class Night:
    """A night as `process` left it, served: a merger with alerts in its map, and a mock event."""

    url: str
    event: str
    mock: str
