"""Requests to other people's services: what is too soon is waited for, what was answered is told, secrets are not."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from consumers.errors import RequestError, UnavailableError

__all__ = ["TRIES", "post"]

TRIES = 24
"""As many times a request is sent that comes too soon (429): with half a minute between, twelve minutes."""
_WAIT = 30.0  # seconds, where the service does not say
_LONGEST = 300.0
_LARGEST = 4 << 20  # bytes of an answer


def post(
    client: httpx.Client,
    url: str,
    *,
    what: str,
    say: Callable[[str], None],
    accept: tuple[int, ...] = (200, 201),
    **request: Any,
) -> httpx.Response:
    """Send something, and again when told that it came too soon.

    Parameters
    ----------
    what
        What is sent, for messages.
    say
        Told what is waited for.
    accept
        Statuses that are answers.

    Raises
    ------
    RequestError
        The service refuses it.
    UnavailableError
        It does not answer, or fails: whether it has taken what was sent is not known.
    """
    for tried in range(1, TRIES + 1):
        try:
            answer = client.post(url, **request)
        except httpx.HTTPError as error:
            raise UnavailableError(
                f"{url} does not answer ({type(error).__name__}): it is not known whether it has {what}"
            ) from error
        if answer.status_code in accept:
            if len(answer.content) > _LARGEST:
                raise UnavailableError(f"{url} answers with {len(answer.content):,} bytes, which is no answer to {what}")
            return answer
        if answer.status_code != 429:
            break
        if tried < TRIES:
            seconds = _pause(answer.headers)
            say(f"{url} asks for patience: {what} is sent again in {seconds:g} s (try {tried} of {TRIES})")
            time.sleep(seconds)
    reason = f"{url} answers {answer.status_code} to {what}: {answer.text[:500].strip() or answer.reason_phrase}"
    raise UnavailableError(reason) if answer.status_code >= 500 or answer.status_code == 429 else RequestError(reason)


def _pause(headers: Mapping[str, str]) -> float:
    for name in ("retry-after", "x-rate-limit-reset"):
        try:
            return min(max(float(headers[name]), 0.0), _LONGEST)
        except (KeyError, ValueError):
            continue
    return _WAIT
