"""Where the TOM's settings say that Nuncius is."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from consumers.api import DEFAULT, Api
from consumers.token import bearer

__all__ = ["NAME", "address", "api"]

NAME = "Nuncius"


def _given() -> dict[str, Any]:
    return dict(getattr(settings, "BROKERS", {}).get(NAME, {}))


def address() -> str:
    """Address of Nuncius: ``BROKERS["Nuncius"]["url"]``, this machine's where there is none."""
    return str(_given().get("url") or DEFAULT).rstrip("/")


def api(timeout: float = 30.0) -> Api:
    """A connection to its API, with ``BROKERS["Nuncius"]["api_key"]``, else ``NUNCIUS_TOKEN``, where accounts are required."""
    return _Api(address(), _given().get("api_key") or None, timeout)


class _Api(Api):
    def __init__(self, url: str, token: str | None, timeout: float) -> None:
        super().__init__(url, timeout=timeout)
        self._client.headers.update(bearer(token))
