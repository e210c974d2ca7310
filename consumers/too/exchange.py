"""One exchange with an observatory, bounded in time and size, that tells whether a request can have arrived."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

__all__ = ["Answer", "exchange"]

_MOST: Final = 1 << 20  # bytes of an answer that are read


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Parameters
    ----------
    status
        HTTP status; ``None`` where none came.
    body
        The first megabyte.
    arrived
        False where the request certainly did not reach the server.
    error
        What went wrong, in words; empty where a whole answer came.
    looked_up
        Whether it answers a look-up (``GET``), not a request.
    """

    status: int | None
    body: bytes = b""
    arrived: bool = True
    error: str = ""
    looked_up: bool = False

    @property
    def good(self) -> bool:
        """A whole answer of success."""
        return self.status is not None and 200 <= self.status < 300 and not self.error

    @property
    def refused(self) -> bool:
        """A definite no to this request, or a way elsewhere, which is not gone; to a look-up the latter is no answer."""
        least = 400 if self.looked_up else 300
        return self.status is not None and least <= self.status < 500 and self.status not in {401, 403, 408, 425, 429}

    @property
    def unprocessed(self) -> bool:
        """It certainly was not looked at: it did not arrive, too many came at once, or the token is not (or no more) good."""
        return not self.arrived or self.status in {401, 403, 425, 429}

    def json(self) -> Any:
        """The body as JSON; ``None`` where it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):  # also what is nested too deeply
            return None

    def said(self) -> str:
        """Status, fault and the body, in one line; whoever shows it blots what is secret before it is cut."""
        text = " ".join(self.body.decode("utf-8", "replace").split())
        parts = [f"answers {self.status}" if self.status is not None else "", self.error, text]
        return ": ".join(part for part in parts if part)


def exchange(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    timeout: float,
    data: Any = None,
    content: str | None = None,
    form: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    cookies: httpx.Cookies | None = None,
) -> Answer:
    """Ask once; no redirects, no second try.

    Parameters
    ----------
    timeout
        Seconds for all of it: a server that sends a byte now and then is left at its end.
    data, content, form
        JSON, text or form fields of the body.
    cookies
        Sent, and kept up to date.
    """
    found: list[Answer] = []
    given_up = threading.Event()
    client = httpx.Client(timeout=httpx.Timeout(timeout), follow_redirects=False, cookies=cookies)

    def sending(step: str, _about: Mapping[str, Any]) -> None:
        if step.endswith(("send_request_headers.started", "send_request_body.started")) and given_up.is_set():
            raise RuntimeError("given up before it was sent")  # name or TLS took too long: it must not arrive later on

    def ask() -> None:
        body: dict[str, Any] = {"json": data} if data is not None else {"data": form} if form is not None else {}
        if content is not None:
            body = {"content": content.encode()}
        try:
            body |= {"headers": dict(headers), "params": params, "extensions": {"trace": sending}}
            with client, client.stream(method, url, **body) as answer:
                found.append(_read(answer))
                if cookies is not None:
                    cookies.update(answer.cookies)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol, httpx.PoolTimeout) as error:
            found.append(Answer(None, arrived=False, error=f"{urlsplit(url).netloc} cannot be reached: {_words(error)}"))
        except (httpx.HTTPError, httpx.InvalidURL, OSError, RuntimeError, ValueError) as error:
            found.append(Answer(None, error=f"{urlsplit(url).netloc} gave no whole answer: {_words(error)}"))

    thread = threading.Thread(target=ask, name="too-exchange", daemon=True)
    thread.start()
    thread.join(timeout)
    given_up.set()
    if not found:
        return Answer(None, error=f"{urlsplit(url).netloc} gave no whole answer in {timeout:g} s")
    thread.join(1.0)
    return replace(found[0], looked_up=method == "GET")


def _read(answer: httpx.Response) -> Answer:
    body = b""
    try:
        for part in answer.iter_bytes():
            body += part
            if len(body) >= _MOST:
                break
    except httpx.HTTPError as error:
        return Answer(answer.status_code, body, error=f"the answer broke off: {_words(error)}")
    return Answer(answer.status_code, body[:_MOST])


def _words(error: Exception) -> str:
    return f"{type(error).__name__} {error}".strip()
