"""Cursors: opaque text that says after which row the next page begins."""

from __future__ import annotations

import base64
import binascii
import json

from broker.errors import UsageError

__all__ = ["read_cursor", "write_cursor"]


def write_cursor(kind: str, value: float, key: str) -> str:
    """Cursor behind a row of a kind of search, by what it is ordered by and its key."""
    return base64.urlsafe_b64encode(json.dumps([kind, value, key]).encode()).decode().rstrip("=")


def read_cursor(cursor: str, kind: str) -> tuple[float, str]:
    """Value and key of `write_cursor`.

    Raises
    ------
    UsageError
        It is not ours, or of another kind of search.
    """
    try:
        found, value, key = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, TypeError, RecursionError) as error:
        raise UsageError(f"cursor {cursor!r} is not one of ours: pass on the one of the page before") from error
    if found != kind or isinstance(value, bool) or not isinstance(value, int | float) or not isinstance(key, str):
        raise UsageError(f"cursor {cursor!r} is of another search: pass it on with the same conditions, or none")
    if not abs(value) < 2**63 or not _legible(key):  # NaN is not either
        raise UsageError(f"cursor {cursor!r} is not one of ours: pass on the one of the page before")
    return value, key


def _legible(key: str) -> bool:
    """Whether a database takes it: no NUL, no half of a surrogate pair."""
    try:
        return b"\0" not in key.encode()
    except UnicodeEncodeError:
        return False
