"""One alert: its light curve and cutouts, or what its notice says."""

from __future__ import annotations

from broker.api.pages.page import Page

__all__ = ["PAGE"]

PAGE = Page("/alerts/{alert_id:path}", "alert.html")
