"""The bytes behind an alert, from the API."""

from __future__ import annotations

from typing import Literal
from urllib.parse import quote

import httpx

from consumers.errors import RequestError, UnavailableError
from consumers.token import bearer

__all__ = ["fetch_cutout", "fetch_packet"]


def fetch_packet(api_url: str, alert_id: str, *, timeout: float = 30.0) -> bytes:
    """The bytes an alert came in, exactly as the broker received them.

    Parameters
    ----------
    api_url
        Of the Nuncius API, such as ``http://localhost:8000``.
    timeout
        Seconds.

    Raises
    ------
    RequestError
        There is no such alert.
    UnavailableError
        The API does not answer.
    """
    return _get(f"{api_url.rstrip('/')}/api/v1/alerts/{quote(alert_id, safe=':')}/packet", {}, timeout)


def fetch_cutout(
    api_url: str,
    alert_id: str,
    kind: Literal["science", "template", "difference"] = "difference",
    *,
    form: Literal["fits", "png"] = "fits",
    timeout: float = 30.0,
) -> bytes:
    """An image that came with a survey alert.

    Parameters
    ----------
    api_url
        Of the Nuncius API, such as ``http://localhost:8000``.
    timeout
        Seconds.

    Raises
    ------
    RequestError
        There is no such alert, or it has no such image.
    UnavailableError
        The API does not answer.
    """
    return _get(f"{api_url.rstrip('/')}/api/v1/alerts/{quote(alert_id, safe=':')}/cutouts/{kind}", {"format": form}, timeout)


def _get(address: str, params: dict[str, str], timeout: float) -> bytes:
    try:
        answer = httpx.get(address, params=params, headers=bearer(), timeout=timeout, follow_redirects=True)
    except httpx.HTTPError as error:
        raise UnavailableError(f"no answer from {address}: {error}") from error
    if answer.status_code >= 500:
        raise UnavailableError(f"{address} answers {answer.status_code}: try again")
    if not answer.is_success:
        raise RequestError(f"{address} answers {answer.status_code}: {answer.text[:500]}")
    return answer.content
