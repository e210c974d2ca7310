"""How the service stands: the ledger, what waits, what has halted."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from broker import topics
from broker.errors import TransientError
from broker.record import TopicPartition
from broker.store import ledger, ledger_fold, matches
from broker.store.ledger import Counts
from broker.telemetry import LAG
from broker.wiring import heartbeats
from broker.wiring.parts import Parts

__all__ = ["STARTED", "accept_expired", "lag", "raw_ends", "status", "waiting"]

STARTED = time.monotonic()

# A Kafka that has just started knows no offsets for a second or two.
_PATIENT = Retrying(
    retry=retry_if_exception_type(TransientError), wait=wait_fixed(0.3), stop=stop_after_delay(10), reraise=True
)


def status(parts: Parts) -> dict[str, Any]:
    """Ledger totals and faults, lag by partition, halted streams, matches by filter."""
    totals = ledger.totals(parts.store)
    group = parts.settings.process.group
    behind_now = lag(parts)
    return {
        "version": version("nuncius"),
        "uptime": time.monotonic() - STARTED,
        "engine": parts.settings.log.engine,
        "ledger": {
            "total": _counts(totals.overall),
            "streams": {stream: _counts(counts) for stream, counts in sorted(totals.by_stream.items())},
        },
        "expired": ledger_fold.expired(parts.store),
        "faults": [fault.text for fault in ledger.check(parts.store, _firsts(parts))],
        "lag": [
            {"group": group, "topic": place.topic, "partition": place.partition, "records": behind}
            for place, behind in sorted(behind_now.items())
        ],
        "halted": ledger.halted(parts.store),
        "heartbeats": heartbeats.shown(parts),
        "matches": dict(matches.counts(parts.store)),
    }


def accept_expired(parts: Parts) -> int:
    """Take note of records that expired before they were read; see `broker.store.ledger_fold.accept_expired`."""
    return ledger_fold.accept_expired(parts.store, _firsts(parts))


def raw_ends(parts: Parts) -> dict[TopicPartition, int]:
    """Where the raw topics end now, by partition that has records."""
    return {place: end for place, (first, end) in _raw_bounds(parts).items() if end > first}


def waiting(parts: Parts, ends: Mapping[TopicPartition, int]) -> set[TopicPartition]:
    """Partitions of which `process` has not done everything before these ends; what came later does not count."""
    bounds = _raw_bounds(parts)  # before the lag: with ends that are too early nothing is taken for done that is not
    read = _PATIENT(parts.log.group_lag, parts.settings.process.group)

    def is_done(place: TopicPartition, end: int) -> bool:
        return read.get(place) == 0 or (place in read and place in bounds and bounds[place][1] - read[place] >= end)

    return {place for place, end in ends.items() if not is_done(place, end)}


def lag(parts: Parts) -> dict[TopicPartition, int]:
    """Raw records `process` has yet to read, by partition; those of partitions it has never read are all of them."""
    read = _PATIENT(parts.log.group_lag, parts.settings.process.group)
    behind = {place: read.get(place, end - first) for place, (first, end) in _raw_bounds(parts).items()}
    for place, records in behind.items():
        LAG.labels(place.topic, str(place.partition)).set(records)
    return behind


def _firsts(parts: Parts) -> dict[TopicPartition, int]:
    return {place: first for place, (first, _) in _raw_bounds(parts).items()}


def _raw_bounds(parts: Parts) -> dict[TopicPartition, tuple[int, int]]:
    return {
        place: bounds
        for topic in parts.log.topics()
        if re.match(topics.RAW_PATTERN, topic)
        for place, bounds in parts.log.bounds(topic).items()
    }


def _counts(counts: Counts) -> Mapping[str, int]:
    return {
        "received": counts.received,
        "published": counts.published,
        "duplicate": counts.duplicate,
        "rejected": counts.rejected,
        "matched": counts.matched,
    }
