"""Pages as they are opened in tests, and what a night is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Browser, Page


@contextmanager
def opened(browser: Browser, url: str, path: str = "/", **options: Any) -> Iterator[Page]:
    """A page on which nothing goes wrong, and nothing is fetched from anywhere else."""
    wrong: list[str] = []
    context = browser.new_context(**{"viewport": {"width": 1440, "height": 1000}, **options})
    page = context.new_page()
    page.on("console", lambda message: wrong.append(message.text) if message.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: wrong.append(request.url) if not request.url.startswith((url, "data:")) else None)
    page.goto(url + path)
    yield page
    context.close()
    assert wrong == []


@dataclass(frozen=True)
class Night:
    """A night as `process` left it, served: a merger with alerts in its map, and a mock event."""

    url: str
    event: str
    mock: str
