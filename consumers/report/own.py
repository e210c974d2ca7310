"""Nuncius itself, as observers tell it what they did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from consumers.api import Api
from consumers.errors import RequestError, UnavailableError

__all__ = ["AT_ONCE", "Reports", "send_classifications", "send_observations"]

AT_ONCE = 500
"""Observations in one request: the broker takes a thousand."""


class Reports(Api):
    """A connection that can also send."""

    def post(self, *path: str, body: Mapping[str, Any]) -> Any:
        """What the broker answers to a document.

        Raises
        ------
        RequestError
            It refuses the document, or us.
        UnavailableError
            It does not answer.
        """
        address = self._address(path)
        try:
            answer = self._client.post(address, json=body, follow_redirects=False)  # it would become a GET
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise RequestError(f"--api {self._url!r} is no address: {error}") from error
        except httpx.HTTPError as error:
            raise UnavailableError(
                f"no answer from {address}: {error}; start `nuncius serve`, or name it with --api"
            ) from error
        if answer.is_success:
            return answer.json()
        try:
            detail = str(answer.json()["detail"])
        except (ValueError, KeyError, TypeError):
            detail = answer.reason_phrase
        message = f"{answer.url} answers {answer.status_code}: {detail}"
        if answer.status_code == 401:
            message += "; put a token with the scope write:reports into NUNCIUS_TOKEN"
        raise UnavailableError(message) if answer.status_code >= 500 or answer.status_code == 429 else RequestError(message)


def send_observations(reports: Reports, event: str, observations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Send observations some at a time; what was sent before a fault is kept, and sent again does no harm."""
    done: dict[str, Any] = {"event": event, "new": 0, "changed": 0, "unchanged": 0}
    for first in range(0, len(observations), AT_ONCE):
        body = {"observations": list(observations[first : first + AT_ONCE])}
        answer = reports.post("events", event, "observations", body=body)
        done["event"] = answer["event"]
        for name in ("new", "changed", "unchanged"):
            done[name] += answer[name]
    return done


def send_classifications(reports: Reports, alert_id: str, classifications: Sequence[Mapping[str, Any]]) -> Any:
    """Send classifications of an alert; what the alert is now said to be comes back."""
    return reports.post("alerts", alert_id, "classifications", body={"classifications": list(classifications)})
