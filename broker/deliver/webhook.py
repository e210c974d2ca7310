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
import secrets
import ssl
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final, Self

import httpcore
import httpx
import standardwebhooks

from broker.deliver.addresses import IPNetwork, UnknownNameError, check_host, look_up, parsed
from broker.deliver.outcome import Outcome, printable
from broker.errors import UsageError

__all__ = ["Webhooks", "check_secret", "new_secret", "signature"]

_PREFIX: Final = "whsec_"
_KEEP: Final = 16  # connections to a server,
_KEEP_SECONDS: Final = 4.0  # idle; many servers close after five, and what is sent just then is lost
_MOST_POOLS: Final = 512  # servers that connections are kept to
_CONNECT_SECONDS: Final = 5.0  # for each address of a host that has several
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


class _Guarded(httpcore.AsyncNetworkBackend):
    """Connects to checked addresses only. Certificates are held against the name all the same: that is done a floor above."""

    def __init__(self, allowed: Sequence[IPNetwork]) -> None:
        self._allowed = allowed
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109 - of httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        check_host(host, self._allowed)
        failed: Exception | None = None
        for address in await look_up(host, port, self._allowed):
            try:
                return await self._network.connect_tcp(address, port, _CONNECT_SECONDS, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        assert failed is not None
        raise failed

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


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
        self._timeout, self._max = timeout, max_answer
        self._context, self._guarded = context or httpx.create_ssl_context(), _Guarded(tuple(allowed))
        self._pools: dict[tuple[bytes, bytes, int | None], httpcore.AsyncConnectionPool] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for pool in self._pools.values():
            await pool.aclose()
        self._pools.clear()

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
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, ssl.SSLError, OSError) as error:
            return Outcome(False, error=_told(error))

    async def _exchange(self, url: httpx.URL, headers: Mapping[str, str], body: bytes, now: datetime) -> Outcome:
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        if len(self._pools) >= _MOST_POOLS:
            await self._tidy()
        async with self._pool(target).stream("POST", target, headers=list(headers.items()), content=body) as answer:
            said = bytearray()
            async for chunk in answer.aiter_stream():
                said += chunk
                if len(said) >= self._max:
                    break  # leaving closes the connection: what else comes is not read
            return _outcome(answer.status, answer.headers, bytes(said[:_SHOWN]), now)

    def _pool(self, target: httpcore.URL) -> httpcore.AsyncConnectionPool:
        """Connections to one server: a pool looks through all of its own for each request."""
        place = (target.scheme, target.host, target.port)
        if place not in self._pools:
            # Not httpx, which has no way to say where to connect to: its own floor below. It knows no proxies of the
            # environment, follows nothing, keeps no cookies and unpacks no answers, all of which would have to be switched off.
            self._pools[place] = httpcore.AsyncConnectionPool(
                ssl_context=self._context,
                max_connections=None,  # as many as there are deliveries under way
                max_keepalive_connections=_KEEP,
                keepalive_expiry=_KEEP_SECONDS,
                network_backend=self._guarded,
            )
        return self._pools[place]

    async def _tidy(self) -> None:
        """Let go of servers that nothing is being sent to."""
        idle = [place for place, pool in self._pools.items() if all(one.is_idle() for one in pool.connections)]
        for pool in [self._pools.pop(place) for place in idle]:
            await pool.aclose()


def _outcome(status: int, headers: Sequence[tuple[bytes, bytes]], said: bytes, now: datetime) -> Outcome:
    if 200 <= status < 300:
        return Outcome(True, status)
    fields = {name.lower(): value.decode("latin-1") for name, value in headers}
    try:
        told = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        told = str(status)
    if status == HTTPStatus.GONE:
        return Outcome(False, status, f"answered {told}: it wants no more", again=False)
    if 300 <= status < 400:
        where = printable(fields.get(b"location", ""))
        return Outcome(
            False,
            status,
            f"answered {told}{' to ' + where if where else ''}: subscribe the address itself, as redirects are not followed",
        )
    text = printable(said.decode("utf-8", "replace"))
    waits = status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
    wait = _wait(fields.get(b"retry-after", ""), now) if waits else None
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
    kinds = {
        httpcore.ConnectTimeout: "no connection within the time",
        httpcore.ConnectError: "no connection",
        httpcore.RemoteProtocolError: "no answer that HTTP knows",
        httpcore.ReadError: "the connection broke off",
        httpcore.WriteError: "the connection broke off",
    }
    what = next((words for kind, words in kinds.items() if isinstance(error, kind)), type(error).__name__)
    said = printable(str(error))
    return f"{what}: {said}" if said else what
