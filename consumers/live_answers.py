"""What the API answered to the live stream: whether it is what was asked for, and the pauses where it is not there."""

from __future__ import annotations

from typing import Any

import httpx

from consumers.errors import ClientError, RequestError, UnavailableError

__all__ = ["check", "check_stream", "items", "pause"]


def check(answer: httpx.Response) -> None:
    """Whether it is a success.

    Raises
    ------
    UnavailableError
        Asked again later it may be one.
    RequestError
        It will not.
    """
    if answer.is_success:
        return
    answer.read()
    try:
        detail = str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        detail = answer.reason_phrase
    message = f"{answer.url} answers {answer.status_code}: {detail}"
    raise UnavailableError(message) if answer.status_code >= 500 or answer.status_code == 429 else RequestError(message)


def check_stream(answer: httpx.Response, address: str) -> None:
    """Whether it is a stream of events; errors as of `check`.

    Parameters
    ----------
    address
        Of the API, for the error.

    Raises
    ------
    ClientError
        It is a success of another kind: there is something else at the address.
    """
    check(answer)
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind != "text/event-stream":
        raise ClientError(
            f"{answer.url} answers {kind or 'nothing'}, no stream of events: is there a Nuncius API at {address}?"
        )


def items(answer: httpx.Response, address: str) -> list[dict[str, Any]]:
    """Items of a page; arguments and errors as of `check_stream`."""
    check(answer)
    try:
        return list(answer.json()["items"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ClientError(f"{answer.url} answers no page of matches: is there a Nuncius API at {address}?") from error


def pause(attempt: int) -> float:
    """Seconds to wait before connecting again: 0.2, doubling, 10 at most."""
    return float(min(10.0, 0.2 * 2.0 ** min(attempt, 10)))
