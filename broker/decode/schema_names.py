"""Names of the types in an Avro schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["full_name", "record_name", "resolve_names"]


def resolve_names(schema: Any) -> dict[str, Any]:
    """Named types of a schema by full name; a type defined twice counts as last defined before its use by a later reader."""
    names: dict[str, Any] = {}

    def visit(node: Any, space: str) -> None:
        if isinstance(node, list):
            for branch in node:
                visit(branch, space)
        elif isinstance(node, dict):
            kind = node.get("type")
            if kind in {"record", "error", "enum", "fixed"}:
                full = full_name(node, space)
                names[full] = node
                space = full.rpartition(".")[0]
                for item in node.get("fields", ()):
                    visit(item.get("type"), space)
            elif kind == "array":
                visit(node.get("items"), space)
            elif kind == "map":
                visit(node.get("values"), space)
            else:
                visit(kind, space)

    visit(schema, "")
    return names


def record_name(schema: Any) -> str:
    """Full name of a record schema; empty for any other schema."""
    while isinstance(schema, dict) and isinstance(schema.get("type"), dict):
        schema = schema["type"]
    if isinstance(schema, dict) and schema.get("type") in {"record", "error"}:
        return full_name(schema, "")
    return ""


def full_name(node: Mapping[str, Any], space: str) -> str:
    """Name of a named type with its namespace, inside the namespace `space`."""
    name = str(node.get("name", ""))
    if "." in name:
        return name
    space = str(node.get("namespace", space) or "")
    return f"{space}.{name}" if space else name
