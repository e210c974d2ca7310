"""The VOEvent Transport Protocol's frames and transport messages, for either side.

A frame is a big-endian 32-bit length and so many bytes of XML: a VOEvent, or a ``Transport`` message that acknowledges
(``ack``, ``nak``), asks and answers whether the other side lives (``iamalive``), or offers and carries filters
(``authenticate``).

References
----------
IVOA VOEvent Transport Protocol 2.0 (2017), with what Comet and GCN's old clients do where it is silent.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

from broker.errors import DecodeError
from broker.safe_xml import parse_xml, root_name

__all__ = [
    "ROLES",
    "Frames",
    "Network",
    "Role",
    "Transport",
    "allowed",
    "ivorn_and_role",
    "ivorn_of",
    "pack",
    "read_transport",
    "role_of",
    "transport",
]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Role = Literal["iamalive", "ack", "nak", "authenticate"]
ROLES: Final = ("iamalive", "ack", "nak", "authenticate")

# Compared without their scheme, case and "www.": three spellings are in use.
_NAMESPACE: Final = re.compile(r"\{https?://(www\.)?telescope-networks\.org/(xml|schema)/Transport/v1\.1\}", re.IGNORECASE)
_ROLE: Final = re.compile(rb"<(?:\w+:)?Transport\b[^>]*?\brole\s*=\s*[\"'](iamalive|ack|nak|authenticate)[\"']")
_COMMENT: Final = re.compile(rb"<!--.*?-->", re.DOTALL)
_LENGTH: Final = 4


@dataclass(frozen=True, slots=True)
class Transport:
    """A transport message.

    Parameters
    ----------
    role
        What it is.
    origin, response
        The ivorn it is about, or of who asks; the ivorn of who answers.
    filters
        XPath expressions, of ``authenticate``.
    result
        Why, of ``nak``.
    """

    role: Role
    origin: str = ""
    response: str = ""
    filters: tuple[str, ...] = ()
    result: str = ""


class Frames:
    """Bytes of a connection, cut into frames as they arrive.

    Parameters
    ----------
    limit
        Longest frame, bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()

    @property
    def open(self) -> bool:
        """Whether a frame has begun and not ended."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Frames that end in these bytes.

        Raises
        ------
        DecodeError
            A frame is longer than the limit; it is never waited for.
        """
        buffer = self._buffer
        buffer += data
        at = 0
        while len(buffer) - at >= _LENGTH:
            size = int.from_bytes(buffer[at : at + _LENGTH], "big")
            if size > self._limit:
                raise DecodeError(f"a frame of {size} bytes, more than the {self._limit} taken")
            if len(buffer) - at - _LENGTH < size:
                break
            yield bytes(memoryview(buffer)[at + _LENGTH : at + _LENGTH + size])
            at += _LENGTH + size
        del buffer[:at]


def pack(data: bytes) -> bytes:
    """A frame of some XML."""
    return len(data).to_bytes(_LENGTH, "big") + data


def role_of(data: bytes) -> Role | None:
    """Role of a transport message, told without parsing it; ``None`` where it is something else."""
    head = data[:2048]
    if root_name(head) != "Transport":
        return None  # an event may speak of transport messages
    found = _ROLE.search(_COMMENT.sub(b"", head) if b"<!--" in head else head)
    return found.group(1).decode() if found else None  # type: ignore[return-value]


def transport(message: Transport) -> bytes:
    """A transport message as XML; its children in the order the schema has them."""
    meta = "".join(f'<Param name="xpath-filter" value={quoteattr(each)}/>' for each in message.filters)
    meta += f"<Result>{escape(message.result)}</Result>" if message.result else ""
    parts = [
        f"<Origin>{escape(message.origin)}</Origin>",
        f"<Response>{escape(message.response)}</Response>" if message.response else "",
        f"<TimeStamp>{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}</TimeStamp>",
        f"<Meta>{meta}</Meta>" if meta else "",
    ]
    head = (
        f'<trn:Transport role="{message.role}" version="1.0" xmlns:trn="http://www.telescope-networks.org/xml/Transport/v1.1">'
    )
    return f"<?xml version='1.0' encoding='UTF-8'?>\n{head}{''.join(parts)}</trn:Transport>".encode()


def read_transport(data: bytes) -> Transport:
    """What a transport message says.

    Raises
    ------
    DecodeError
        It is none.
    """
    root = parse_xml(data)
    tag = str(root.tag)
    role = root.get("role")
    if role not in ROLES or not (tag == "Transport" or _NAMESPACE.fullmatch(tag.removesuffix("Transport"))):
        raise DecodeError(f"XML of <{tag}> with role {role!r}, not a transport message")
    named = [each.get("value") for each in _all(root, "Meta/Param") if each.get("name") == "xpath-filter"]
    older = [each.text for each in _all(root, "Meta/filter") if each.get("type") == "xpath"]
    filters = tuple(each for each in (*named, *older) if each)
    texts = [next((each.text or "" for each in _all(root, path)), "").strip() for path in ("Origin", "Response", "Meta/Result")]
    return Transport(role, texts[0], texts[1], filters, texts[2])  # type: ignore[arg-type]  # one of ROLES


def ivorn_of(data: bytes) -> str:
    """Identifier of a VOEvent; raises what `ivorn_and_role` raises."""
    return ivorn_and_role(data)[0]


def ivorn_and_role(data: bytes) -> tuple[str, str]:
    """Identifier of a VOEvent and its role, ``observation`` unless it says another.

    Raises
    ------
    DecodeError
        The bytes are not well formed, no VOEvent, or have no ivorn.
    """
    root = parse_xml(data)
    if not str(root.tag).endswith("VOEvent"):
        raise DecodeError(f"XML of <{root.tag}>, not a VOEvent")
    ivorn = (root.get("ivorn") or "").strip()
    if not ivorn:
        raise DecodeError("no ivorn: a VOEvent is known by it")
    return ivorn, (root.get("role") or "observation").strip()


def _all(root: etree._Element, path: str) -> Sequence[etree._Element]:
    """Elements at a path, with or without a namespace."""
    here = [root]
    for name in path.split("/"):
        here = [child for each in here for child in each if str(child.tag).rpartition("}")[2] == name]
    return here


def allowed(address: str, allow: Sequence[Network]) -> bool:
    """Whether an address is in one of the networks; one of IPv4 written as IPv6 counts as what it is."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return any((mapped or parsed) in network for network in allow)
