"""Schemas of lists whose items take no bytes, which are refused before anything is read with them.

The counts of such lists cannot be held against the data: a packet of two hundred bytes could fill the memory.
"""

from __future__ import annotations

from typing import Any

from broker.decode.schema_names import resolve_names
from broker.errors import DecodeError

__all__ = ["refuse_weightless"]

_DEEPEST = 64


def refuse_weightless(schema: Any) -> None:
    """See that every item of every list and map takes a byte at least.

    Raises
    ------
    DecodeError
        There are such lists, or the schema nests beyond all measure.
    """
    names = resolve_names(schema)
    _least(schema, "", names, (), 0)


def _least(node: Any, space: str, names: dict[str, Any], inside: tuple[int, ...], depth: int) -> int:  # noqa: C901, PLR0911  a case a kind of type
    """Fewest bytes of a value; a type within itself is taken to have one, or it could not end."""
    if depth > _DEEPEST:
        raise DecodeError("the schema nests deeper than any survey's")
    if isinstance(node, list):
        return 1 + min((_least(branch, space, names, inside, depth + 1) for branch in node), default=0)
    if isinstance(node, str):
        if node in _SIZES:
            return _SIZES[node]
        found = names.get(f"{space}.{node}", names.get(node))
        return 1 if found is None else _least(found, space, names, inside, depth + 1)
    kind = node.get("type") if isinstance(node, dict) else None
    if isinstance(kind, (dict, list)):
        return _least(kind, space, names, inside, depth + 1)
    if kind in {"array", "map"}:
        item = _least(node.get("values" if kind == "map" else "items"), space, names, inside, depth + 1)
        if item + (kind == "map") == 0:
            raise DecodeError("the schema has a list of things that take no bytes")
        return 1
    if kind in {"record", "error"}:
        if id(node) in inside:
            return 1
        space = str(node.get("namespace") or str(node.get("name", "")).rpartition(".")[0] or space)
        return sum(_least(item.get("type"), space, names, (*inside, id(node)), depth + 1) for item in node.get("fields", ()))
    if kind == "fixed":
        return int(node.get("size", 0))
    return 1 if kind == "enum" else _least(kind, space, names, inside, depth + 1)


_SIZES = {"null": 0, "boolean": 1, "int": 1, "long": 1, "float": 4, "double": 8, "bytes": 1, "string": 1}
