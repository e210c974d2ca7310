"""How many more deliveries may wait for each subscription, so that one that takes none does not fill the database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from time import monotonic
from typing import Final

from sqlalchemy import Connection

from broker.store.delivery_intake import Made, waiting
from broker.telemetry import get_logger

__all__ = ["Room"]

log = get_logger(__name__)

FULL_SECONDS: Final = 5.0  # until it is counted again how many wait for one that is full


class Room:
    """Counts what one process writes; how many wait is looked up only where there may be no room left.

    Parameters
    ----------
    most
        Deliveries that may wait for a subscription.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._free: dict[str, int] = {}
        self._full: dict[str, float] = {}
        self._left_out: Counter[str] = Counter()

    def left_out(self) -> Counter[str]:
        """How many were left out since this was asked last, by subscription."""
        told, self._left_out = self._left_out, Counter()
        return told

    def within(self, conn: Connection, rows: Sequence[Made]) -> list[Made]:
        """Those of some deliveries that there is room for; who has heard of a match hears of its end, whatever waits."""
        kept = [row for row in rows if row.change == "retraction" or self._has(conn, row.subscription)]
        self._left_out.update(row.subscription for row in rows)
        self._left_out.subtract(row.subscription for row in kept)
        self._left_out = +self._left_out
        return kept

    def _has(self, conn: Connection, subscription: str) -> bool:
        free = self._free.get(subscription, 0)
        if free <= 0:
            if monotonic() < self._full.get(subscription, 0.0):
                return False
            free = self._most - waiting(conn, subscription, self._most)
        if free <= 0:
            self._full[subscription] = monotonic() + FULL_SECONDS
            log.warning(
                "a subscription has all that may wait: what comes is left out", subscription=subscription, waiting=self._most
            )
            return False
        self._free[subscription] = free - 1
        return True
