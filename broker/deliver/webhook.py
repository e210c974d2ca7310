"""Webhooks: signed POSTs as Standard Webhooks has them, to servers that may do anything.

Such a server can hang, trickle, redirect, or answer with gigabytes. So an exchange has one deadline for all of it, nothing is
followed, and little of an answer is read. Connections are kept for the next delivery.

References
----------
Standard Webhooks specification 1.0 (https://www.standardwebhooks.com); RFC 9110 for ``Retry-After``.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import io
import secrets
import socket
import ssl
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from ipaddress import ip_address
from typing import Final, Self

import aiohttp
import httpx
import standardwebhooks
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from broker.deliver.addresses import IPNetwork, UnknownNameError, check_host, look_up, parsed, plain_host, reachable, refusal
from broker.deliver.outcome import Outcome, printable
from broker.errors import UsageError

__all__ = ["Webhooks", "check_secret", "new_secret", "signature"]

_PREFIX: Final = "whsec_"
_KEEP_SECONDS: Final = 4.0  # that a connection is kept; many servers close after five, and what is sent just then is lost
_AT_ONCE: Final = 1 << 20  # bytes of a body that are handed to the socket in one piece
_LONGEST_WAIT: Final = 86_400.0  # that a server can ask for
_SHOWN: Final = 2048  # bytes of an answer that says no, to tell its owner why


def new_secret() -> str:
    """Secret that signatures are made with: 24 random bytes."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(24)).decode()


def check_secret(secret: str) -> None:
    """Refuse what is no secret of Standard Webhooks: ``whsec_`` and 24 to 64 bytes in base64.

    Two with a space between them are good, too, for a receiver that changes from one to the next.

    Raises
    ------
    UsageError
        It is none; the secret itself is not told.
    """
    parts = secret.split(" ")
    if not 1 <= len(parts) <= 2:
        raise UsageError("one secret, or two with a space between: the new one and the old")
    for part in parts:
        if not part.startswith(_PREFIX):
            raise UsageError(f"a webhook's secret begins with {_PREFIX}; leave it out, and one is made")
        try:
            key = base64.b64decode(part.removeprefix(_PREFIX), validate=True)
        except (binascii.Error, ValueError) as error:
            message = f"what follows {_PREFIX} in the webhook's secret is no base64 ({error}); leave it out, and one is made"
            raise UsageError(message) from error
        if not 24 <= len(key) <= 64:
            message = f"the webhook's secret has {len(key)} bytes: 24 to 64 are needed; leave it out, and one is made"
            raise UsageError(message)


def signature(secret: str, delivery_id: str, timestamp: datetime, body: bytes) -> str:
    """Value of ``webhook-signature``: a signature for each secret, so that a receiver can change over without a break.

    Parameters
    ----------
    timestamp
        As in ``webhook-timestamp``, UTC; what is below a second does not count.
    """
    text, when = body.decode("utf-8"), timestamp.astimezone(UTC)
    return " ".join(standardwebhooks.Webhook(each).sign(delivery_id, when, text) for each in secret.split(" "))


class _Guarded(AbstractResolver):
    """Leads names to checked addresses only. Certificates are held against the name all the same."""

    def __init__(self, allowed: Sequence[IPNetwork]) -> None:
        self._allowed = allowed

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002 - of aiohttp's interface
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in await look_up(host, port, self._allowed)
        ]

    async def close(self) -> None:
        pass

    def socket(self, place: aiohttp.AddrInfoType) -> socket.socket:
        """A socket for an address: whatever it was that led here, it is checked once more."""
        family, kind, protocol, _, where = place
        if not reachable(ip_address(where[0]), self._allowed):
            raise UsageError(refusal(str(where[0]), [ip_address(where[0])]))
        return socket.socket(family, kind, protocol)


class Webhooks:
    """Posts to subscribers' servers; a context manager.

    Parameters
    ----------
    allowed
        Networks besides the public ones that may be sent to.
    timeout
        Seconds for a whole exchange, from looking up the name to the end of the answer.
    max_answer
        Bytes of an answer that are read at most.
    context
        Certificate authorities; those of certifi, or of ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``, where not given.
    """

    def __init__(
        self,
        allowed: Sequence[IPNetwork] = (),
        *,
        timeout: float = 20.0,
        max_answer: int = 65_536,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._timeout, self._max, self._allowed = timeout, max_answer, tuple(allowed)
        self._context = context or httpx.create_ssl_context()

    async def __aenter__(self) -> Self:
        guarded = _Guarded(self._allowed)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=self._context,
                resolver=guarded,
                socket_factory=guarded.socket,
                use_dns_cache=False,
                limit=0,  # as many as there are deliveries under way
                keepalive_timeout=_KEEP_SECONDS,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(),
            auto_decompress=False,
            skip_auto_headers=("Accept-Encoding",),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def post(
        self, url: str, secret: str, delivery_id: str, body: bytes, content_type: str = "application/json"
    ) -> Outcome:
        """Send one delivery; whatever the server does, this returns in time and tells what came of it."""
        now = datetime.now(UTC)
        try:
            read = parsed(url)
            headers = {
                "Host": read.netloc.decode("ascii"),
                "User-Agent": "Nuncius",
                "Accept": "*/*",
                "Content-Type": content_type,
                "webhook-id": delivery_id,
                "webhook-timestamp": str(int(now.timestamp())),
                "webhook-signature": signature(secret, delivery_id, now, body),
            }
            async with asyncio.timeout(self._timeout):
                return await self._exchange(read, headers, body, now)
        except UsageError as error:
            return Outcome(False, error=str(error), again=False)
        except TimeoutError:
            return Outcome(False, error=f"no whole answer within {self._timeout:g} s: answer first, and work afterwards")
        except UnknownNameError as error:
            return Outcome(False, error=str(error))
        except (aiohttp.ClientError, ssl.SSLError, OSError) as error:
            return Outcome(False, error=_told(error))

    async def _exchange(self, read: httpx.URL, headers: Mapping[str, str], body: bytes, now: datetime) -> Outcome:
        host = read.raw_host.decode("ascii")
        check_host(host, self._allowed)
        port = "" if read.port is None else f":{read.port}"
        url = URL(f"{read.scheme}://{plain_host(host)}{port}{read.raw_path.decode('ascii')}", encoded=True)
        data = body if len(body) <= _AT_ONCE else io.BytesIO(body)
        async with self._session.post(url, data=data, headers=headers, allow_redirects=False) as answer:
            said = bytearray()
            while len(said) < self._max and (chunk := await answer.content.read(self._max)):
                said += chunk
            if not answer.content.at_eof():
                answer.close()  # what else comes is not read
            return _outcome(answer.status, answer.headers, bytes(said[:_SHOWN]), now)


def _outcome(status: int, headers: Mapping[str, str], said: bytes, now: datetime) -> Outcome:
    if 200 <= status < 300:
        return Outcome(True, status)
    try:
        told = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        told = str(status)
    if status == HTTPStatus.GONE:
        return Outcome(False, status, f"answered {told}: it wants no more", again=False)
    if 300 <= status < 400:
        where = printable(headers.get("Location", ""))
        return Outcome(
            False,
            status,
            f"answered {told}{' to ' + where if where else ''}: subscribe the address itself, as redirects are not followed",
        )
    text = printable(said.decode("utf-8", "replace"))
    waits = status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
    wait = _wait(headers.get("Retry-After", ""), now) if waits else None
    return Outcome(False, status, f"answered {told}{': ' + text if text else ''}", retry_after=wait)


def _wait(text: str, now: datetime) -> float | None:
    """Seconds from now that a ``Retry-After`` asks for, a day at most; ``None`` where it says nothing."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), _LONGEST_WAIT)
    try:
        when = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError):
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return min(max((when - now).total_seconds(), 0.0), _LONGEST_WAIT)


def _told(error: Exception) -> str:
    kinds: dict[type[Exception], str] = {
        aiohttp.ClientConnectorError: "no connection",
        aiohttp.ClientResponseError: "no answer that HTTP knows",
        aiohttp.ServerDisconnectedError: "the connection broke off",
        aiohttp.ClientPayloadError: "the connection broke off",
        aiohttp.ClientOSError: "the connection broke off",
    }
    what = next((words for kind, words in kinds.items() if isinstance(error, kind)), type(error).__name__)
    # The whole of such an error tells the address, in which there may be a password.
    said = printable(error.message if isinstance(error, aiohttp.ClientResponseError) else str(error))
    return f"{what}: {said}" if said else what
