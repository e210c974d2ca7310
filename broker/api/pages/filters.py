"""The list of filters."""

from __future__ import annotations

from broker.api.pages.page import Page

__all__ = ["PAGE"]

PAGE = Page("/filters", "filters.html", "Filters")
