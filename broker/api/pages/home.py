"""The front page: the sky now, matches as they come, ledger and lag."""

from __future__ import annotations

from broker.api.pages.page import Page

__all__ = ["PAGE"]

PAGE = Page("/", "home.html", "Sky")
