"""How the client reads Kafka."""

from __future__ import annotations

import uuid
from typing import Any

from consumers.kafka_faults import Patience
from consumers.options import Options

__all__ = ["properties"]


def properties(options: Options, patience: Patience) -> dict[str, Any]:
    """Properties of librdkafka; those that make the promises of `subscribe` cannot be overridden."""
    return {
        "client.id": "nuncius-client",
        "fetch.message.max.bytes": 8_388_608,
        "fetch.wait.max.ms": 100,
        "reconnect.backoff.ms": 100,
        "reconnect.backoff.max.ms": 5000,
        "topic.metadata.refresh.interval.ms": 5000,
        "log_level": 0,
        **options.config,
        "bootstrap.servers": options.bootstrap_servers,
        "group.id": options.group or _lone(options),
        "enable.auto.commit": options.autocommit and options.group is not None,
        # Every partition is begun at an offset of its own: this is for one whose offset retention has passed.
        "auto.offset.reset": "earliest",
        "enable.partition.eof": True,
        "isolation.level": options.isolation,
        "partition.assignment.strategy": "range,roundrobin",
        "error_cb": patience.on_error,
    }


def _lone(options: Options) -> str:
    """A group of our own: librdkafka asks for its coordinator even where nothing is committed.

    On a cluster with passwords one may use only groups whose names begin with one's own.
    """
    return f"{options.config.get('sasl.username') or 'nuncius'}-reader-{uuid.uuid4()}"
