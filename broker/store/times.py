"""Instants as the database keeps them: whole microseconds since the Unix epoch, UTC."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

__all__ = ["from_micros", "now", "to_micros"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def now() -> int:
    """The present instant."""
    return time.time_ns() // 1000


def to_micros(instant: datetime) -> int:
    """Microseconds of an aware instant; one without a zone is taken as UTC."""
    aware = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    return (aware - _EPOCH) // _MICROSECOND


def from_micros(micros: int | None) -> datetime | None:
    """Aware instant, UTC; ``None`` for ``None``."""
    return None if micros is None else _EPOCH + timedelta(microseconds=micros)
