"""Where deliveries may go: nowhere inside our own network, unless its operator has said so.

Whoever may subscribe could otherwise have this server talk to what only it can reach: databases, the metadata service of a
cloud, other people's machines. So the address that is connected to is the one that was checked: a name is looked up once, and
a name that points elsewhere a moment later leads nowhere.

References
----------
IANA IPv4 and IPv6 Special-Purpose Address Registries, as `ipaddress` has them; RFC 6052 and 8215 (NAT64), 3056 (6to4), 4380
(Teredo), 5214 (ISATAP), 6598 (shared address space).
"""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

import httpx

from broker.errors import TransientError, UsageError

__all__ = [
    "IPNetwork",
    "UnknownNameError",
    "check_host",
    "check_url",
    "look_up",
    "networks",
    "parsed",
    "plain_host",
    "reachable",
    "refusal",
]

IPNetwork = IPv4Network | IPv6Network
IPAddress = IPv4Address | IPv6Address

_PORTS: Final = {"http": 80, "https": 443}
_GLOBAL6: Final = IPv6Network("2000::/3")  # all of IPv6 that anybody is given to be reached at
_NAT64: Final = IPv6Network("64:ff9b::/96")
_CLOSED: Final = (  # which `is_global` of one Python or another lets pass
    ip_network("168.63.129.16/32"),  # metadata of a cloud at an address that is public for everybody else
    ip_network("192.0.0.0/24"),  # of protocols; metadata among them, too
    ip_network("192.88.99.0/24"),  # relays of 6to4
    ip_network("2001::/32"),  # Teredo
    ip_network("2001:db8::/32"),
    ip_network("2002::/16"),  # 6to4
    ip_network("3fff::/20"),
)
_NAME: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,62})?([.][a-z0-9_]([a-z0-9_-]{0,62})?)*[.]?", re.IGNORECASE)


class UnknownNameError(TransientError):
    """A name has no address, just now at least."""


def networks(texts: Iterable[str]) -> tuple[IPNetwork, ...]:
    """Networks by their names, as ``10.1.0.0/16``, ``fd00::/8`` or ``127.0.0.1``.

    Raises
    ------
    UsageError
        One is none.
    """
    found = []
    for text in texts:
        try:
            found.append(ip_network(text.strip()))
        except ValueError as error:
            message = f"deliver.allow: {text!r} is no network ({error}): write it as 10.1.0.0/16 or fd00::/8"
            raise UsageError(message) from error
    return tuple(found)


def reachable(address: IPAddress, allowed: Sequence[IPNetwork] = ()) -> bool:
    """Whether an address may be connected to: reachable by anybody, or in a network that is allowed."""
    inner = _embedded(address)
    if any(each in network for each in (address, *inner) for network in allowed if each.version == network.version):
        return True
    if inner:
        return all(map(_is_public, inner)) and (_is_public(address) or address in _NAT64 or _is_mapped(address))
    return _is_public(address)


def _is_public(address: IPAddress) -> bool:
    if (
        not address.is_global
        or address.is_multicast
        or any(address in each for each in _CLOSED if each.version == address.version)
    ):
        return False
    return isinstance(address, IPv4Address) or address in _GLOBAL6


def _is_mapped(address: IPAddress) -> bool:
    return isinstance(address, IPv6Address) and address.ipv4_mapped is not None


def _embedded(address: IPAddress) -> tuple[IPv4Address, ...]:
    """IPv4 addresses that packets to an IPv6 address may end up at."""
    if isinstance(address, IPv4Address):
        return ()
    low = IPv4Address(int(address) & 0xFFFFFFFF)
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address.sixtofour is not None:
        return (address.sixtofour,)
    if address.teredo is not None:
        return address.teredo
    if address in _NAT64 or (int(address) >> 32) & 0xFDFFFFFF == 0x00005EFE:  # the second is ISATAP's interface identifier
        return (low,)
    return ()


def parsed(url: str) -> httpx.URL:
    """URL in parts, of a kind that we send to.

    Raises
    ------
    UsageError
        It is none, of another scheme, has a user's name in it, no host or no possible port.
    """
    try:
        read = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        message = f"{_shown(url)} is no URL: {error}"
        raise UsageError(message) from error
    if read.scheme not in _PORTS:
        message = f"{_shown(url)}: deliveries go to https:// or http:// addresses, not to {read.scheme or 'nothing'}:"
        raise UsageError(message)
    if read.userinfo or "@" in url.partition("://")[2].partition("/")[0]:
        message = f"{_shown(url)}: leave the user's name and password out of the address; the signature says who sends"
        raise UsageError(message)
    if not read.raw_host:
        message = f"{_shown(url)} names no host: write it as https://example.org/path"
        raise UsageError(message)
    if read.port is not None and not 0 < read.port < 65_536:
        message = f"{_shown(url)}: there is no port {read.port}"
        raise UsageError(message)
    return read


def check_url(url: str, allowed: Sequence[IPNetwork] = ()) -> None:
    """Refuse at once what can never be sent to; where a name leads is checked each time something is sent.

    Raises
    ------
    UsageError
        Another scheme than http and https, a user's name, no host, an impossible port, or an address that is not reachable by
        anybody, however it is spelt.
    """
    check_host(parsed(url).raw_host.decode("ascii"), allowed)


def check_host(host: str, allowed: Sequence[IPNetwork] = (), *, named: bool = True) -> None:
    """Refuse a host that is an address where we may not go, or no name at all.

    Parameters
    ----------
    named
        Whether what is no address has to be a name.

    Raises
    ------
    UsageError
        It is.
    """
    literal = _literal(host)
    if literal is None:
        if host.rstrip(".").lower().split(".")[-1] == "localhost":  # by RFC 6761 always this machine
            literal = IPv4Address("127.0.0.1")
        elif named and (len(host) > 253 or not _NAME.fullmatch(host)):
            message = f"{_shown(host)} is no name of a host"
            raise UsageError(message)
        else:
            return
    if not reachable(literal, allowed):
        raise UsageError(refusal(host, [literal]))


def _literal(host: str) -> IPAddress | None:
    """Address that a host is written as, in any of the spellings that C libraries take: 127.1, 0x7f000001, 0177.0.0.1."""
    bare = host.strip("[]").replace("%25", "%")
    try:
        return ip_address(bare)
    except ValueError:
        with suppress(OSError, UnicodeError, ValueError):
            return IPv4Address(socket.inet_aton(bare))
    return None


def plain_host(host: str) -> str:
    """Host as everybody spells it: an address by its digits, in brackets where a URL has them."""
    literal = _literal(host)
    if literal is None:
        return host
    return f"[{literal}]" if isinstance(literal, IPv6Address) else str(literal)


async def look_up(host: str, port: int, allowed: Sequence[IPNetwork] = ()) -> tuple[str, ...]:
    """Addresses of a host that may be connected to.

    Raises
    ------
    UsageError
        There are addresses, and none of them may be.
    UnknownNameError
        There are none.
    """
    try:
        found = await _addresses(host, port)
    except (OSError, UnicodeError) as error:
        message = f"{host} has no address: {getattr(error, 'strerror', None) or error}"
        raise UnknownNameError(message) from error
    addresses = [ip_address(each) for each in dict.fromkeys(found)]
    good = [each for each in addresses if reachable(each, allowed)]
    if not good:
        raise UsageError(refusal(host, addresses))
    return tuple(map(str, good))


async def _addresses(host: str, port: int) -> list[str]:
    """Look up a name in a thread of its own: the loop's few would be held half a minute each by names with dead servers."""
    if (literal := _literal(host)) is not None:
        return [str(literal)]
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[str]] = loop.create_future()

    def settle(found: list[str], error: Exception | None) -> None:
        if answer.done():
            return
        if error is None:
            answer.set_result(found)
        else:
            answer.set_exception(error)

    def ask() -> None:
        found: list[str] = []
        failed: Exception | None = None
        try:
            found = [str(place[4][0]) for place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        except (OSError, UnicodeError) as error:
            failed = error
        with suppress(RuntimeError):  # the loop is gone, and whoever asked
            loop.call_soon_threadsafe(settle, found, failed)

    threading.Thread(target=ask, name="look-up", daemon=True).start()
    return await answer


def refusal(host: str, addresses: Sequence[IPAddress]) -> str:
    """Why a host is not sent to, and who could change that."""
    shown = ", ".join(map(str, addresses[:3]))
    where = f"{host} is {shown}" if shown != host else host
    return (
        f"{where}: an address that is not reachable from everywhere is not sent to. If it should be, the operator of this "
        "broker lists its network in deliver.allow"
    )


def _shown(url: str) -> str:
    """Address for a message: without what may be a password, and on one line."""
    text = re.sub(r"(?<=//)[^/@]*@", "", "".join(each if each.isprintable() else "?" for each in str(url)))
    return repr(text if len(text) <= 120 else text[:119] + "…")
