"""What an Avro schema says of its fields: type, unit and meaning of those that can be read as columns."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from broker.decode.schema_names import full_name, resolve_names

__all__ = ["SchemaField", "fields_of"]

_TYPES: Final = {
    **dict.fromkeys(("int", "long"), "integer"),
    **dict.fromkeys(("float", "double"), "number"),
    **dict.fromkeys(("string", "enum"), "text"),
    **dict.fromkeys(("bytes", "fixed"), "bytes"),
    "boolean": "boolean",
}
_TIMES: Final = ("timestamp-millis", "timestamp-micros", "local-timestamp-millis", "local-timestamp-micros", "date")
_DEEPEST: Final = 16
# As LSST's and ZTF's schemas write it: "... of this diaSource [deg]."
_UNIT: Final = re.compile(r"\s*\[([^\[\]]{1,24})\](?=[\s.,;]|$)")
_UNITS: Final = {
    "unitless": "",
    "days": "d",
    "day": "d",
    "arcseconds": "arcsec",
    "degrees": "deg",
    "degree": "deg",
    "seconds": "s",
    "pixels": "pixel",
}


@dataclass(frozen=True, slots=True)
class SchemaField:
    """A field of a packet.

    Parameters
    ----------
    type
        ``integer``, ``number``, ``text``, ``boolean``, ``time``, ``bytes``, or ``unknown`` where it can be of several kinds.
    unit, meaning
        As its documentation has them; empty where it has none.
    """

    type: str
    unit: str
    meaning: str


def fields_of(schema: Any) -> dict[str, SchemaField]:
    """Scalar fields outside lists, by dotted path, in the order of the schema.

    Raises
    ------
    ValueError
        It is no schema of a record.
    """
    while isinstance(schema, dict) and isinstance(schema.get("type"), dict):
        schema = schema["type"]
    if not isinstance(schema, dict) or schema.get("type") not in {"record", "error"}:
        raise ValueError("the schema is not one of a record")
    walker = _Walker(resolve_names(schema))
    walker.walk(schema, "", "", "", 0)
    return walker.found


class _Walker:
    """Gathers the fields of one schema."""

    def __init__(self, names: dict[str, Any]) -> None:
        self.names = names
        self.found: dict[str, SchemaField] = {}

    def walk(self, node: Any, space: str, path: str, doc: str, depth: int) -> None:
        """Gather what a node says of the field at `path`, or of those below it.

        Parameters
        ----------
        space
            Namespace the node is in.
        doc
            What its field is said to mean.
        """
        if depth > _DEEPEST:
            return
        if isinstance(node, str) and node not in _TYPES:
            node = self.names.get(f"{space}.{node}", self.names.get(node))
        if isinstance(node, list):
            for branch in node:
                self.walk(branch, space, path, doc, depth + 1)
            return
        kind = node.get("type") if isinstance(node, dict) else node
        if isinstance(kind, (dict, list)):
            self.walk(kind, space, path, doc or str(node.get("doc") or ""), depth + 1)
        elif kind in {"record", "error"}:
            inner = full_name(node, space).rpartition(".")[0]
            for item in node.get("fields", ()):
                name = f"{path}.{item['name']}" if path else str(item["name"])
                self.walk(item.get("type"), inner, name, str(item.get("doc") or ""), depth + 1)
        elif isinstance(kind, str) and path:
            self.scalar(node, kind, space, path, doc)

    def scalar(self, node: Any, kind: str, space: str, path: str, doc: str) -> None:
        """Gather a field that is none of a record."""
        if kind not in _TYPES:
            known = self.names.get(f"{space}.{kind}", self.names.get(kind))
            if known is not None and known is not node:
                self.walk(known, space, path, doc, _DEEPEST)
            return
        logical = node.get("logicalType") if isinstance(node, dict) else None
        told = _told("time" if kind == "long" and logical in _TIMES else _TYPES[kind], doc)
        before = self.found.get(path)
        several = before is not None and before.type != told.type
        self.found[path] = SchemaField("unknown", told.unit, told.meaning) if several else told


def _told(type_: str, doc: str) -> SchemaField:
    text = " ".join(doc.split())
    unit = _UNIT.search(text)
    name = unit[1] if unit else ""
    return SchemaField(type_, _UNITS.get(name.lower(), name), _UNIT.sub("", text, count=1).strip().rstrip("."))
