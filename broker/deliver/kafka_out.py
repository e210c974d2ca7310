"""Messages to somebody else's Kafka: NASA's GCN, SCiMMA's Hopskotch, or any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import certifi
import confluent_kafka
import gcn_kafka

from broker.errors import LogUnavailableError
from broker.record import Message
from broker.stream.kafka_client import mapped, produce, translate

__all__ = ["Downstream", "Sender"]

HOP = "kafka.scimma.org:9092"
SECONDS = 30.0  # a message may take to be acknowledged


@dataclass(frozen=True, slots=True)
class Downstream:
    """Where to send messages.

    Parameters
    ----------
    kind
        ``gcn`` for NASA's cluster, ``hop`` for SCiMMA's.
    bootstrap_servers
        Of the cluster, where it is not that one.
    properties
        librdkafka's own settings, passed through.
    """

    kind: Literal["gcn", "hop"]
    bootstrap_servers: str = ""
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    username: str = ""
    password: str = field(default="", repr=False)
    domain: str = "gcn.nasa.gov"
    properties: Mapping[str, str | int | float | bool] = field(default_factory=dict)


class Sender:
    """A producer; what `send` returns from, the other side has acknowledged."""

    def __init__(self, downstream: Downstream) -> None:
        self._hint = ""
        with translate(f"opening a producer for {downstream.kind}"):
            self._producer = _producer(downstream, self._complain)

    def send(self, messages: Sequence[Message]) -> None:
        """Send messages in order and wait until each is acknowledged.

        Raises
        ------
        LogUnavailableError
            The other side is away, or did not answer in time: some of the messages may be there, and come again.
        UsageError
            A message is too large.
        """
        failed: list[confluent_kafka.KafkaError] = []

        def delivered(error: confluent_kafka.KafkaError | None, _message: object) -> None:
            if error is not None:
                failed.append(error)

        topics = ", ".join(sorted({message.topic for message in messages}))
        with translate(f"sending to {topics}", self._hint):
            for message in messages:
                produce(self._producer, message, delivered)
            left = self._producer.flush(2 * SECONDS)
        if failed:
            raise mapped(failed[0], f"sending to {topics}", self._hint)
        if left:
            raise LogUnavailableError(f"Kafka, sending to {topics}: {left} messages are not acknowledged ({self._hint})")

    def close(self) -> None:
        """Let go of what is not acknowledged; it is sent again by whoever comes next."""
        self._producer.purge()
        self._producer.flush(1.0)

    def _complain(self, error: confluent_kafka.KafkaError) -> None:
        self._hint = error.str()


def _producer(downstream: Downstream, complain: object) -> confluent_kafka.Producer:
    config: dict[str, object] = {
        "acks": "all",
        "max.in.flight.requests.per.connection": 1,  # a retraction never comes before what it takes back
        "message.timeout.ms": int(SECONDS * 1000),
        "message.max.bytes": 4_194_304,  # what GCN takes
        "error_cb": complain,
        **({"bootstrap.servers": downstream.bootstrap_servers} if downstream.bootstrap_servers else {}),
        **downstream.properties,
    }
    if downstream.kind == "gcn":
        return gcn_kafka.Producer(
            config,
            client_id=downstream.client_id or None,
            client_secret=downstream.client_secret or None,
            domain=downstream.domain,  # type: ignore[arg-type]
        )
    config.setdefault("bootstrap.servers", HOP)
    if downstream.username:
        config |= {"sasl.username": downstream.username, "sasl.password": downstream.password}
        config.setdefault("security.protocol", "SASL_SSL")
        config.setdefault("sasl.mechanisms", "SCRAM-SHA-512")
        config.setdefault("ssl.ca.location", certifi.where())
    return confluent_kafka.Producer(config)
