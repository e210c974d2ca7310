"""Logging in, and one's own account: who one is, and one's tokens."""

from __future__ import annotations

from broker.api.pages.page import Page

__all__ = ["LOGIN", "PAGE"]

LOGIN = Page("/login", "login.html")
PAGE = Page("/account", "account.html")
