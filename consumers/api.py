"""The REST API of a Nuncius broker, as the follow-up programs read it and send it reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self
from urllib.parse import quote, urljoin

import httpx

from consumers.errors import RequestError, UnavailableError
from consumers.token import ENVIRONMENT, bearer

__all__ = ["DEFAULT", "Api", "MissingError", "api_url"]

DEFAULT = "http://127.0.0.1:8000"
"""Where `nuncius serve` answers unless told otherwise."""


def api_url(name: str, text: str) -> str:
    """Address of an API, as people write it.

    Parameters
    ----------
    name
        Of the option, for the error.

    Raises
    ------
    RequestError
        It is no URL.
    """
    if not text.startswith(("http://", "https://")):
        raise RequestError(f"{name} {text!r} is no URL: write it like {DEFAULT}")
    return text


class MissingError(RequestError):
    """There is nothing at an address."""


class Api:
    """A connection; a context manager.

    Parameters
    ----------
    url
        Of the API, such as ``http://127.0.0.1:8000``. A token is taken from the environment, ``NUNCIUS_TOKEN``.
    timeout
        Seconds that an answer may keep us waiting.
    """

    def __init__(self, url: str = DEFAULT, *, timeout: float = 60.0) -> None:
        self._root = f"{url.rstrip('/')}/api/v1/"
        self._url = url
        self._client = httpx.Client(headers=bearer(), timeout=timeout, follow_redirects=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._client.close()

    def json(self, *path: str, **params: Any) -> Any:
        """A document.

        Parameters
        ----------
        path
            Its parts, not yet percent-encoded: ``"events", "S240422ed"``.
        params
            Of the query; those that are None are left out.

        Raises
        ------
        MissingError
            There is no such thing, or one may not see it.
        RequestError
            What is asked for cannot be.
        UnavailableError
            The API does not answer.
        """
        return self._document(self._get(self._address(path), params))

    def content(self, *path: str, **params: Any) -> bytes:
        """A file; arguments and errors as of `json`."""
        return self._get(self._address(path), params).content

    def items(self, *path: str, **params: Any) -> Iterator[Mapping[str, Any]]:
        """What a list and its next pages have; arguments and errors as of `json`."""
        address, asked = self._address(path), params
        while address:
            answer = self._get(address, asked)
            document = self._document(answer)
            yield from document["items"]
            address, asked = urljoin(str(answer.url), document.get("next") or ""), {}
            if not document.get("next"):
                return

    def post(self, *path: str, body: Mapping[str, Any]) -> Any:
        """What is answered to a document that is sent; errors as of `json`."""
        answer = self._answer("POST", self._address(path), json=body, follow_redirects=False)  # it would become a GET
        return self._document(answer)

    def _document(self, answer: httpx.Response) -> Any:
        try:
            return answer.json()
        except (ValueError, RecursionError) as error:  # also what is nested too deeply
            raise UnavailableError(f"{answer.url} answers no JSON: is there a Nuncius API at {self._url}?") from error

    def _address(self, path: tuple[str, ...]) -> str:
        return self._root + "/".join(quote(part, safe=":") for part in path)

    def _get(self, address: str, params: Mapping[str, Any]) -> httpx.Response:
        asked = {name: value for name, value in params.items() if value is not None}
        return self._answer("GET", address, params=asked or None)

    def _answer(self, method: str, address: str, **more: Any) -> httpx.Response:
        try:
            answer = self._client.request(method, address, **more)
        except httpx.InvalidURL as error:
            raise RequestError(f"--api {self._url!r} is no address: {error}") from error
        except httpx.UnsupportedProtocol as error:
            raise RequestError(f"--api {self._url!r} is no address: write it like {DEFAULT}") from error
        except httpx.HTTPError as error:
            raise UnavailableError(
                f"no answer from {address}: {error}; start `nuncius serve`, or name it with --api"
            ) from error
        if answer.is_success:
            return answer
        try:
            detail = str(answer.json()["detail"])
        except (ValueError, KeyError, TypeError):
            detail = answer.reason_phrase
        message = f"{answer.url} answers {answer.status_code}: {detail}"
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise MissingError(message)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            message += f"; put a token into {ENVIRONMENT}, to send reports one with the scope write:reports"
        raise UnavailableError(message) if answer.status_code >= 500 or answer.status_code == 429 else RequestError(message)
