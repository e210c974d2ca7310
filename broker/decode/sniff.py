"""Told from their bytes alone, and without parsing them whole: whether some bytes are a notice, and of which stream.

Damaged notices are recognised too, as long as what makes them one is left: they belong to their stream's dead letters.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass

from broker.decode.gcn_binary import LENGTH, is_alive, plausible
from broker.decode.notice_origin import stream_of_ivorn
from broker.decode.notice_xml import root_name
from broker.topics import COINCIDENCE_STREAM

__all__ = ["HEARTBEAT", "Kind", "sniff_notice"]

VOEVENT = "application/x-voevent+xml"
CIRCULAR = "application/x-gcn-circular+json"
CIRCULAR_MAIL = "text/x-gcn-circular"
HEARTBEAT = "gcn/heartbeat"
UNIFIED = "application/x-gcn-notice+json"
LVK_JSON = "application/x-igwn-alert+json"
LVK_AVRO = "application/x-igwn-alert+avro"
HOP = "application/x-hop+json"
TEXT = "text/x-gcn-notice"
BINARY = "application/x-gcn-notice"
SKYMAP = "application/fits"
COINCIDENCE = "application/x-nuncius-coincidence+json"

_IVORN = re.compile(rb"""\bivorn\s*=\s*["']\s*([^"'#>]*#?)""")
_HOP_IVORN = re.compile(rb""""@?ivorn"\s*:\s*"\s*(ivo:[^"#]*#?)""")
_HOP_FORMAT = re.compile(rb""""format"\s*:\s*"(voevent|circular|gcntextnotice)"|"header"\s*:\s*\{[^}]*"number"\s*:""")
_COINCIDENCE = re.compile(rb'\{\s*"\$schema"\s*:\s*"nuncius/coincidence/')
_HEAD = 65_536
_UNIFIED_KEYS = tuple(
    f'"{key}"'.encode() for key in ("alert_datetime", "trigger_time", "mission", "healpix_file", "ra_dec_error")
)
_HEARTBEAT_LONGEST = 300
_FITS, _GZIP, _AVRO, _BOM = b"SIMPLE  =", b"\x1f\x8b", b"Obj\x01", b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Kind:
    """What some bytes are: the stream they belong to and their content type."""

    stream: str
    content_type: str


def sniff_notice(data: bytes) -> Kind | None:
    """Kind of a notice, or ``None`` for anything else: surveys' packets, schemas, transport messages, noise."""
    if data.startswith(_AVRO):
        return Kind("lvk", LVK_AVRO) if b'"superevent_id"' in data[:_HEAD] else None
    if data.startswith((_FITS, _GZIP)):
        return Kind("skymap", SKYMAP) if data.startswith(_FITS) or _holds_fits(data) else None
    if len(data) == LENGTH and plausible(data):
        return Kind("gcn", HEARTBEAT if is_alive(data) else BINARY)
    text = data.removeprefix(_BOM).lstrip()
    if text.startswith((b"<", b"\xff\xfe", b"\xfe\xff", b"\0<")):
        return _xml(data)
    if text.startswith((b"{", b"[")):
        return _json(text)
    return _text(text[:4096])


def _holds_fits(data: bytes) -> bool:
    try:
        return zlib.decompressobj(wbits=31).decompress(data[:4096], len(_FITS)).startswith(_FITS)
    except zlib.error:
        return False


def _xml(data: bytes) -> Kind | None:
    name = root_name(data)
    plain = data.replace(b"\0", b"") if b"\0" in data[:4096] else data
    if name != "VOEvent" and not (name == "!DOCTYPE" and b"VOEvent" in plain[:_HEAD]):
        return None
    found = _IVORN.search(plain[:_HEAD])
    return Kind(stream_of_ivorn(found.group(1).decode("ascii", "replace")) if found else "voevent", VOEVENT)


def _json(text: bytes) -> Kind | None:
    if _COINCIDENCE.match(text):
        return Kind(COINCIDENCE_STREAM, COINCIDENCE)
    return _hop(text) or _gcn(text)


def _hop(text: bytes) -> Kind | None:
    """What hop wraps, or writes as the JSON of a VOEvent's elements."""
    if found := _HOP_IVORN.search(text[:_HEAD]):
        return Kind(stream_of_ivorn(found.group(1).decode("ascii", "replace")), HOP)
    if re.match(rb'\{\s*"(format|content|header)"\s*:', text) and _HOP_FORMAT.search(text):
        return Kind("gcn", HOP)
    return None


def _gcn(text: bytes) -> Kind | None:
    if b'"superevent_id"' in text and b'"fields"' not in text:
        return Kind("lvk", LVK_JSON)
    if b'"circularId"' in text or (b'"eventId"' in text and b'"subject"' in text and b'"body"' in text):
        return Kind("gcn", CIRCULAR)
    if len(text) < _HEARTBEAT_LONGEST and set(re.findall(rb'"([^"]+)"\s*:', text)) in (
        {b"alert_datetime"},
        {b"$schema", b"alert_datetime"},
    ):
        return Kind("gcn", HEARTBEAT)
    if b"/gcn/notices/" in text[:_HEAD] and b'"$id"' not in text[:_HEAD]:
        return Kind("gcn", UNIFIED)
    if any(key in text for key in _UNIFIED_KEYS) and b'"fields"' not in text and b'"$id"' not in text:
        return Kind("gcn", UNIFIED)
    return None


def _text(head: bytes) -> Kind | None:
    if re.match(rb"TITLE:\s*GCN (CIRCULAR|GRB OBSERVATION REPORT)", head):
        return Kind("gcn", CIRCULAR_MAIL)
    if re.search(rb"^NOTICE_TYPE:", head, re.MULTILINE) or re.match(rb"TITLE:\s*GCN", head):
        return Kind("gcn", TEXT)
    return None
