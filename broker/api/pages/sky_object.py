"""One object: light curve, latest cutouts, what it lies near, its alerts."""

from __future__ import annotations

from broker.api.pages.page import Page

__all__ = ["PAGE"]

PAGE = Page("/objects/{object_id:path}", "object.html")
