"""What an API that asks for an account is sent."""

from __future__ import annotations

import os

__all__ = ["ENVIRONMENT", "bearer"]

ENVIRONMENT = "NUNCIUS_TOKEN"


def bearer(token: str | None = None) -> dict[str, str]:
    """The header of a token, else of the one in the environment; none where there is neither."""
    found = token or os.environ.get(ENVIRONMENT)
    return {"Authorization": f"Bearer {found}"} if found else {}
