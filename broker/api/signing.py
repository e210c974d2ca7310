"""Text that goes out in a cookie and is believed only as it went out."""

from __future__ import annotations

import base64
import hashlib
import hmac

__all__ = ["sign", "unsign"]


def sign(key: bytes, purpose: str, text: str) -> str:
    """The text and its mark; what is signed for one purpose is good for no other."""
    return f"{text}.{_mark(key, purpose, text)}"


def unsign(key: bytes, purpose: str, signed: str) -> str | None:
    """The text that was signed; ``None`` where it was not, or not by us."""
    text, _, mark = signed.rpartition(".")
    good = hmac.compare_digest(mark.encode("utf-8", "surrogatepass"), _mark(key, purpose, text).encode())
    return text if good else None


def _mark(key: bytes, purpose: str, text: str) -> str:
    digest = hmac.digest(key, f"{purpose}\n{text}".encode("utf-8", "surrogatepass"), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
