"""JSON from strangers: strict where values would be made up, soft everywhere else; flattened under dotted names."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Mapping
from typing import Any

from broker.decode.notice import Scalar
from broker.errors import DecodeError

__all__ = ["as_number", "as_text", "flatten", "parse_object", "unpack_map"]

_GZIP = b"\x1f\x8b"
_FITS = b"SIMPLE  ="
_DEEPEST = 16
_MOST = 64  # elements of a list under names of their own
_EXACT = 1 << 53
_IDENTIFIER = re.compile(r"(?:^|[._])id(?:\.\d+)?$|I[dD](?:\.\d+)?$")
_LONGEST = 65_536  # characters of a field; sky maps are longer and kept apart


def parse_object(data: bytes) -> dict[str, Any]:
    """The JSON object in `data`; a list of one object, as old hop clients wrap it, is that object.

    A byte order mark is passed over; of several values under one key the last counts; integers keep all their digits.

    Raises
    ------
    DecodeError
        If it is not UTF-8, not JSON, has NaN or infinite numbers, is nested too deep, or is no object.
    """
    try:
        value = json.loads(data.decode("utf-8-sig"), parse_constant=_refuse, parse_float=_finite)
    except UnicodeDecodeError as error:
        raise DecodeError(f"JSON is not UTF-8: byte {error.start} cannot be read") from None
    except RecursionError:
        raise DecodeError("JSON is nested too deep") from None
    except ValueError as error:  # a broken document, or an integer of thousands of digits
        raise DecodeError(f"not JSON: {str(error)[:150]}") from None
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict):
        raise DecodeError(f"JSON {type(value).__name__}, not one object: not a notice")
    return value


def flatten(value: Mapping[str, Any], prefix: str = "", depth: int = 0) -> dict[str, Scalar]:
    """Scalars under dotted names, list elements under their number; a list of scalars also as one comma-joined text.

    Identifiers and integers that a double cannot hold become texts. Of long lists only the joined text is kept.
    """
    found: dict[str, Scalar] = {}
    for key, item in value.items():
        name = f"{prefix}{key}"
        if isinstance(item, list):
            if all(isinstance(part, str | int | float) for part in item):
                found[name] = ",".join(as_text(part) or "" for part in item)
            item = {str(i): part for i, part in enumerate(item[:_MOST])}  # noqa: PLW2901 - from here on a list is a mapping
        if isinstance(item, dict):
            if depth < _DEEPEST:
                found |= flatten(item, f"{name}.", depth + 1)
        elif item is None or isinstance(item, str | int | float):
            found[name] = str(item) if _must_be_text(name, item) else item
    return {name: item for name, item in found.items() if not (isinstance(item, str) and len(item) > _LONGEST)}


def as_number(value: object) -> float | None:
    """A number as such; a text that is one is read, as old senders quote numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def as_text(value: object) -> str | None:
    """Text of a text or a number, of the first of a list; all digits kept; ``None`` for an empty one."""
    if isinstance(value, list):
        value = next(iter(value), None)
    if value is None or isinstance(value, dict | list):
        return None
    return str(value).strip() or None


def unpack_map(value: object, name: str) -> tuple[bytes | None, list[str]]:
    """FITS bytes of an embedded sky map (base64, or bytes as in Avro; gzipped or not), and what is wrong with it."""
    if value is None or value in {"", b""}:
        return None, []
    if isinstance(value, str):
        try:
            value = base64.b64decode("".join(value.split()), validate=True)
        except (binascii.Error, ValueError):
            return None, [f"{name} is not base64: no sky map taken from it"]
    if not isinstance(value, bytes) or not value.startswith((_FITS, _GZIP)):
        return None, [f"{name} holds no FITS file: no sky map taken from it"]
    return value, []


def _must_be_text(name: str, item: Scalar) -> bool:
    if item is None or isinstance(item, str | bool):
        return False
    return _IDENTIFIER.search(name) is not None or (isinstance(item, int) and abs(item) > _EXACT)


def _refuse(token: str) -> float:
    message = f"{token} is not JSON: a number must be finite"
    raise ValueError(message)


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)
