"""Values on their way into JSON: nothing loses a digit, nothing is NaN, times say they are UTC."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

__all__ = ["iso", "plain", "wide"]

_SAFE = 2**53
_ID_NAME = re.compile(r"(^|_|\.)(id|candid|hpx)$|candid|[a-z]Id$|_id$|ID$")


def iso(time: datetime) -> str:
    """ISO 8601 with microseconds and ``Z``; a time without a zone is UTC."""
    utc = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    return utc.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def wide(name: str, value: int) -> bool:
    """Whether an integer goes out as a string: ids always do, whatever their size, others where a double cannot hold them."""
    return abs(value) >= _SAFE or _ID_NAME.search(name) is not None


def plain(value: Any, name: str = "") -> Any:  # noqa: PLR0911 - one a kind of value
    """`value` as JSON has it.

    NaN and infinities become null, ids and wide integers strings, times ISO 8601, bytes base64.

    Parameters
    ----------
    name
        Of the field it stands in, which tells an id from a count.
    """
    match value:
        case None | bool() | str():
            return value
        case int():
            return str(value) if wide(name, value) else value
        case float():
            return value if math.isfinite(value) else None
        case datetime():
            return iso(value)
        case bytes() | bytearray() | memoryview():
            return base64.b64encode(value).decode("ascii")
        case Mapping():
            return {str(key): plain(item, str(key)) for key, item in value.items()}
        case np.generic():
            return plain(value.item(), name)
        case Sequence() | np.ndarray() | set() | frozenset():
            return [plain(item, name) for item in value]
        case _:
            return str(value)
