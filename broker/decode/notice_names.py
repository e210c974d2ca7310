"""Names that a bare number does not give: of sources that share one, of bursts by their day, where one overflowed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from broker.decode.notice import Position, name_event

__all__ = ["OVERFLOWN", "at_place", "burst_of_day", "burst_of_urls"]

OVERFLOWN = frozenset({"2147483647", "4294967295"})
"""What is left of a number too large for its field: the notice is good, and its number is none."""

_DAY = re.compile(r"\d{9}")
_URL = re.compile(r"/(bn\d{9})/")
_NEAR = timedelta(days=0.01)  # the name has thousandths of a day


def at_place(mission: str | None, number: str, place: Position) -> str | None:
    """Name of one of the sources that share a number: ``Swift 1491582171@110.1899+50.1439``; ``None`` where one is unknown.

    Four decimals are all that GCN's formats have, so that every form of one notice gives the same.
    """
    name = name_event(mission, number)
    if name is None or place.ra is None or place.dec is None:
        return None
    return f"{name}@{place.ra:.4f}{place.dec:+.4f}"


def burst_of_day(number: str, time: datetime | None) -> str | None:
    """``bn220107793`` of LAT's number 220107793, if that is the day of the event; else it counts seconds, as GBM's do."""
    if time is None or not _DAY.fullmatch(number):
        return None
    try:
        day = datetime(2000 + int(number[:2]), int(number[2:4]), int(number[4:6]), tzinfo=UTC)
    except ValueError:
        return None
    return f"bn{number}" if abs(day + timedelta(days=int(number[6:]) / 1000.0) - time) < _NEAR else None


def burst_of_urls(texts: Iterable[object]) -> str | None:
    """``bn180116026`` of the addresses of its light curve and maps: the name that GBM's maps and LAT's notices have too."""
    found = (_URL.search(text[:300]) for text in texts if isinstance(text, str) and "/bn" in text)
    return next((hit[1] for hit in found if hit), None)
