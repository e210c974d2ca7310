"""Mappings from the store or the log as the answers' models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from broker.api.models import Alert
from broker.api.values import plain

__all__ = ["alert_of"]

_KNOWN = frozenset(Alert.model_fields)
_INNER = frozenset({"origin", "archive", "matches", "cutouts", "filters", "packet"})


def alert_of(row: Mapping[str, Any]) -> Alert:
    """Alert of a mapping: what is no common column becomes an annotation; what is ours alone is left out."""
    shown = {name: plain(row.get(name), name) for name in _KNOWN - _INNER}
    more = {name: plain(value, name) for name, value in row.items() if _extra(name, value)}
    shown["annotations"] = {**(shown["annotations"] or {}), **more}
    shown["skymaps"] = shown["skymaps"] or []
    return Alert.model_validate(shown)


def _extra(name: str, value: Any) -> bool:
    return name not in _KNOWN and name not in _INNER and not name.startswith("_") and value is not None
