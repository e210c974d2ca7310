"""Passwords: kept as scrypt hashes with the parameters they were made with, and checked in the same time for everyone."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import threading
import unicodedata
from typing import Final

from broker.errors import UsageError

__all__ = ["LEAST", "MOST", "hashed", "holds", "is_stale"]

LEAST: Final = 10  # characters
MOST: Final = 256
# As strong as OWASP's first choice and with an eighth of its memory, of which each log-in under way takes 16 MiB.
_COST, _BLOCK, _PARALLEL, _SALT, _LENGTH = 1 << 14, 8, 5, 16, 32
_MEMORY: Final = 1 << 28  # bytes: the most that parameters kept may ask for
_SEATS = threading.BoundedSemaphore(4)  # hashes at once: more would only wait for a processor, with memory in hand


def hashed(password: str) -> str:
    """What is kept of a password: ``scrypt$n$r$p$salt$hash``.

    Raises
    ------
    UsageError
        It is too short or too long.
    """
    if not LEAST <= len(password) <= MOST:
        raise UsageError(f"a password of {len(password)} characters: take {LEAST} to {MOST}")
    salt = secrets.token_bytes(_SALT)
    return _written(_COST, _BLOCK, _PARALLEL, salt, _scrypt(password, salt, _COST, _BLOCK, _PARALLEL))


def holds(password: str, kept: str | None) -> bool:
    """Whether a password is the one kept; where none is, it takes as long to say so."""
    _, cost, block, parallel, salt, digest = (kept or _NOBODY).split("$")
    found = _scrypt(password[:MOST], _bytes(salt), int(cost), int(block), int(parallel))
    return hmac.compare_digest(found, _bytes(digest)) and kept is not None


def is_stale(kept: str) -> bool:
    """Whether it was kept with other parameters than those of today."""
    return not kept.startswith(f"scrypt${_COST}${_BLOCK}${_PARALLEL}$")


def _scrypt(password: str, salt: bytes, cost: int, block: int, parallel: int) -> bytes:
    text = unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
    with _SEATS:
        return hashlib.scrypt(text, salt=salt, n=cost, r=block, p=parallel, maxmem=_MEMORY, dklen=_LENGTH)


def _written(cost: int, block: int, parallel: int, salt: bytes, digest: bytes) -> str:
    return "$".join(
        ("scrypt", str(cost), str(block), str(parallel), *(base64.b64encode(part).decode() for part in (salt, digest)))
    )


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


_NOBODY: Final = _written(_COST, _BLOCK, _PARALLEL, bytes(_SALT), bytes(_LENGTH))
