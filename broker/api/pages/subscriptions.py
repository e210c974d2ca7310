"""What is delivered to whom: subscriptions, what became of their deliveries, and a new one."""

from __future__ import annotations

from broker.api.pages.page import Page

__all__ = ["PAGE"]

PAGE = Page("/subscriptions", "subscriptions.html", "Subscriptions")
