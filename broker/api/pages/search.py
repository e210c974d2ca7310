"""What was put into the search box: a list of what is at a position, or the way to the page of a name."""

from __future__ import annotations

from broker.api.pages.page import Page

__all__ = ["PAGE"]

PAGE = Page("/search", "search.html")
