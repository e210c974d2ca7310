"""Opaque tokens that say where a reader is: the place on a list, or the positions in the log."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from typing import Any
from urllib.parse import urlencode

from fastapi import Request

from broker.errors import UsageError

__all__ = ["decode", "encode", "next_link"]

_LARGEST = 1 << 20


def encode(value: Any) -> str:
    """Token of a JSON value, fit for an address or a header."""
    text = json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(zlib.compress(text, 1)).decode("ascii").rstrip("=")


def decode(token: str, name: str) -> Any:
    """Value of a token.

    Parameters
    ----------
    name
        What it was given as, for the message.

    Raises
    ------
    UsageError
        We did not make it.
    """
    try:
        packed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        # A token cut off here is one that nobody had from us.
        return json.loads(zlib.decompressobj().decompress(packed, _LARGEST))
    except (ValueError, binascii.Error, zlib.error, RecursionError) as error:
        message = f"{name} is not one of ours: leave it out to start anew"
        raise UsageError(message) from error


def next_link(request: Request, token: str | None) -> str | None:
    """Address of the next page: the same request with the cursor; ``None`` where there is none."""
    if token is None:
        return None
    kept = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
    return f"{request.url.path}?{urlencode([*kept, ('cursor', token)])}"
