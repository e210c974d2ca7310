"""Too much from one side: requests counted in a window, and log-ins that fail made to wait. Each process counts for itself."""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

__all__ = ["ACCOUNT", "ADDRESS", "PAIR", "Attempts", "Rate", "Trust", "side"]

_MANY: Final = 10_000  # keys kept at most, beyond which those that have come to rest are dropped
Clock = Callable[[], float]


def side(address: str | None) -> str:
    """What counts as one side: an IPv4 address, or the 64 bits of IPv6 that one customer has."""
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return address or "unknown"
    if isinstance(found, ipaddress.IPv6Address):
        mapped = found.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.IPv6Network((int(found) >> 64 << 64, 64)))
    return str(found)


class Rate:
    """At most so many in any window of so many seconds, by key; 0 is no bound."""

    def __init__(self, most: int, seconds: float, clock: Clock = time.monotonic) -> None:
        self._most, self._seconds, self._clock = most, seconds, clock
        self._taken: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def take(self, key: str) -> float:
        """Seconds to wait for one more; 0 where it has been counted."""
        if not self._most:
            return 0.0
        with self._lock:
            now = self._clock()
            if len(self._taken) > _MANY:
                self._taken = {each: taken for each, taken in self._taken.items() if taken[-1] > now - self._seconds}
            taken = self._taken.setdefault(key, deque(maxlen=self._most))
            wait = taken[0] + self._seconds - now if len(taken) == self._most else 0.0
            if wait <= 0:
                taken.append(now)
            return max(wait, 0.0)


class Trust(NamedTuple):
    """How many failures in a row are let pass, and the longest wait behind one, in seconds."""

    free: int
    longest: float


PAIR: Final = Trust(5, 900.0)
"""An account from one side."""
ADDRESS: Final = Trust(20, 900.0)
"""One side, whatever account it asks for."""
ACCOUNT: Final = Trust(50, 60.0)
"""An account, whoever asks: never shut for long, or strangers could shut it."""


class Attempts:
    """Attempts that count as failed until they have not: so many at once are no way around."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._failed: dict[tuple[Trust, str], tuple[int, float]] = {}
        self._lock = threading.Lock()

    def begin(self, keys: Sequence[tuple[Trust, str]]) -> float:
        """Seconds to wait before the next attempt; 0 where this one may be made, and counts."""
        with self._lock:
            now = self._clock()
            if len(self._failed) > _MANY:
                self._failed = {key: kept for key, kept in self._failed.items() if kept[1] + key[0].longest > now}
            wait = max(self._failed.get(key, (0, 0.0))[1] for key in keys) - now
            if wait > 0:
                return wait
            for key in keys:
                trust, failures = key[0], self._failed.get(key, (0, now))[0] + 1
                behind = failures - trust.free
                self._failed[key] = (failures, now + (min(trust.longest, 2.0 ** min(behind, 30)) if behind >= 0 else 0.0))
            return 0.0

    def succeeded(self, keys: Sequence[tuple[Trust, str]]) -> None:
        """Forget an attempt, and for an account all before it; those of a side stay, or an account of its own would free it."""
        with self._lock:
            for key in keys:
                if key[0] is ADDRESS:
                    failures, until = self._failed.get(key, (1, 0.0))
                    self._failed[key] = (max(failures - 1, 0), min(until, self._clock()))
                else:
                    self._failed.pop(key, None)
