"""The watchlists and regions that filters can ask for."""

from __future__ import annotations

from broker.api.pages.page import Page

__all__ = ["PAGE"]

PAGE = Page("/watchlists", "watchlists.html", "Watchlists")
