"""Messages of SCiMMA's hop: the notice inside the client's JSON wrapping.

hop-client writes a message's own bytes today and its name as a header; older clients sent ``{"format": ..., "content": ...}``,
and a VOEvent as the JSON of its elements, where attributes and elements look alike.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from lxml import etree

from broker.errors import DecodeError

__all__ = ["unwrap"]

_V2 = "http://www.ivoa.net/xml/VOEvent/v2.0"
# Of VOEvent 2.0's schema, in which no element has the name of an attribute.
_ATTRIBUTES = frozenset(
    {
        "cite",
        "coord_system_id",
        "dataType",
        "expires",
        "id",
        "importance",
        "ivorn",
        "meaning",
        "mimetype",
        "name",
        "probability",
    }
    | {"relation", "role", "type", "ucd", "unit", "uri", "utype", "value", "version"}
)
_NAME = re.compile(r"[A-Za-z_][\w.\-]*")
_PARTS = frozenset({"Who", "What", "WhereWhen", "Why", "How", "Citations"})
_DEEPEST = 24
_FORMATS = frozenset({"voevent", "circular", "gcntextnotice", "json", "blob", "avro"})


def unwrap(value: Mapping[str, Any]) -> bytes | None:
    """Bytes of the notice that a hop message wraps; ``None`` if it is no such message.

    Raises
    ------
    DecodeError
        If it is one that cannot be unwrapped.
    """
    content, form = value.get("content"), value.get("format")
    if isinstance(form, str) and form in _FORMATS and content is not None:
        return _bytes(content, form)
    if "ivorn" in value and _PARTS & value.keys():
        return _voevent(value)
    header = value.get("header")
    if isinstance(header, Mapping) and "number" in header and isinstance(value.get("body"), str):
        return _circular(header, value["body"])
    return None


def _bytes(content: object, form: str) -> bytes:
    if isinstance(content, str):
        return content.encode("utf-8", "replace")
    if form == "gcntextnotice" and isinstance(content, dict) and isinstance(content.get("raw"), str):
        return str(content["raw"]).encode("utf-8", "replace")
    if isinstance(content, dict | list):
        inner = unwrap(content) if isinstance(content, dict) and form not in {"json", "avro"} else None
        return json.dumps(content).encode() if inner is None else inner
    raise DecodeError(f"hop message of format {form}: its content is neither text nor an object")


def _circular(header: Mapping[str, Any], body: str) -> bytes:
    lines = [f"{str(name).upper()}: {' '.join(str(text).split())}" for name, text in header.items()]
    return "\n".join([*sorted(lines, key=lambda line: not line.startswith("TITLE")), "", body]).encode("utf-8", "replace")


def _voevent(value: Mapping[str, Any]) -> bytes:
    root = etree.Element(etree.QName(_V2, "VOEvent"), nsmap={"voe": _V2})
    _fill(root, {key: item for key, item in value.items() if not key.startswith("_")}, 0)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def _fill(element: etree._Element, content: Mapping[str, Any], depth: int) -> None:
    if depth > _DEEPEST:
        raise DecodeError("VOEvent in hop's JSON is nested too deep")
    for key, item in content.items():
        name = key.lstrip("@")
        if item is None or item == {} or name.startswith("xmlns") or ":" in name:
            continue
        if name == "#text":
            element.text = _legible(item)
        elif name in _ATTRIBUTES and not isinstance(item, dict | list):
            element.set(name, _legible(item))
        elif not _NAME.fullmatch(name):
            raise DecodeError(f"VOEvent in hop's JSON: {name[:40]!r} is no element's name")
        else:
            for part in item if isinstance(item, list) else [item]:
                child = etree.SubElement(element, name)
                if isinstance(part, Mapping):
                    _fill(child, part, depth + 1)
                elif part is not None:
                    child.text = _legible(part)


def _legible(item: object) -> str:
    text = ("true" if item else "false") if isinstance(item, bool) else str(item)
    return "".join(mark for mark in text if mark in "\t\n\r" or mark >= " ").encode("utf-8", "replace").decode()
