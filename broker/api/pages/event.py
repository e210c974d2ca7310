"""One event: what is known of it, where it is, and what each of its notices changed."""

from __future__ import annotations

from broker.api.pages.page import Page

__all__ = ["PAGE"]

PAGE = Page("/events/{name:path}", "event.html")
