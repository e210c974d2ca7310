"""XML from strangers: parsed without entities, document types, network or unbounded trees."""

from __future__ import annotations

import re

from lxml import etree

from broker.errors import DecodeError

__all__ = ["parse_xml", "root_name"]

_REFUSED = "XML declares a document type (DOCTYPE), where entities would be defined: refused"
_ROOT = re.compile(rb"<(?:[A-Za-z_][\w.\-]*:)?(!?[A-Za-z_][\w.\-]*)")


def parse_xml(data: bytes) -> etree._Element:
    """Root element.

    Raises
    ------
    DecodeError
        If it is not well formed, or declares a document type or entities: they have no place in a notice, and expanding them
        is how a small message fills the memory or reads a local file.
    """
    if root_name(data) == "!DOCTYPE":
        raise DecodeError(_REFUSED)
    parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False, remove_comments=True)
    try:
        root = etree.fromstring(data.strip(), parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise DecodeError(f"XML is not well formed: {str(error)[:200]}") from None
    if root.getroottree().docinfo.internalDTD is not None:  # written in an encoding that hid it above
        raise DecodeError(_REFUSED)
    return root


def root_name(data: bytes) -> str:
    """Local name of the root element, told without parsing; ``!DOCTYPE`` if one comes before it, empty if there is none."""
    plain = data.replace(b"\0", b"") if b"\0" in data[:4096] else data  # UTF-16 reads as ASCII without its zeros
    at = plain.find(b"<")
    while at >= 0:
        if plain.startswith((b"<?", b"<!--"), at):
            # From behind the four characters that open a comment: "<!-->" opens one and does not close it.
            end = plain.find(b"?>", at + 2) if plain.startswith(b"<?", at) else plain.find(b"-->", at + 4)
            at = plain.find(b"<", end) if end >= 0 else -1
            continue
        found = _ROOT.match(plain, at)
        return found.group(1).decode("ascii") if found else ""
    return ""
