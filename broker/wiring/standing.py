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
from broker.store import ledger, matches
from broker.store.ledger import Counts
from broker.telemetry import LAG
from broker.wiring import heartbeats
from broker.wiring.parts import Parts

__all__ = ["STARTED", "lag", "status"]

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
        "faults": [fault.text for fault in ledger.check(parts.store)],
        "lag": [
            {"group": group, "topic": place.topic, "partition": place.partition, "records": behind}
            for place, behind in sorted(behind_now.items())
        ],
        "halted": ledger.halted(parts.store),
        "heartbeats": heartbeats.shown(parts),
        "matches": dict(matches.counts(parts.store)),
    }


def lag(parts: Parts) -> dict[TopicPartition, int]:
    """Raw records `process` has yet to read, by partition; those of partitions it has never read are all of them."""
    read = _PATIENT(parts.log.group_lag, parts.settings.process.group)
    raw = (
        place
        for topic in parts.log.topics()
        if re.match(topics.RAW_PATTERN, topic)
        for place in parts.log.bounds(topic).items()
    )
    behind = {place: read.get(place, end - first) for place, (first, end) in raw}
    for place, records in behind.items():
        LAG.labels(place.topic, str(place.partition)).set(records)
    return behind


def _counts(counts: Counts) -> Mapping[str, int]:
    return {
        "received": counts.received,
        "published": counts.published,
        "duplicate": counts.duplicate,
        "rejected": counts.rejected,
        "matched": counts.matched,
    }
