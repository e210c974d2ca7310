"""The log on Apache Kafka."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from confluent_kafka import Consumer as Client
from confluent_kafka import KafkaError, Producer
from confluent_kafka import Message as Delivered
from confluent_kafka import TopicPartition as Place

from broker.errors import LogUnavailableError
from broker.record import Message, TopicPartition
from broker.stream.kafka_client import ANSWER_SECONDS, EARLIEST, LATEST, Cluster, mapped, produce, translate
from broker.stream.kafka_consumer import KafkaConsumer
from broker.stream.kafka_publisher import KafkaPublisher
from broker.stream.log import Start, TopicSpec

__all__ = ["KafkaLog"]

DEFAULT_SPEC = TopicSpec()
FLUSH_SECONDS = 35.0  # a little more than the producer gives a message


class KafkaLog:
    """A Kafka cluster as our log; see `broker.stream.log.Log`. One object can be used by several threads.

    Parameters
    ----------
    bootstrap_servers
        Addresses as ``host:port,host:port``.
    extra
        librdkafka properties for every client, such as those of SASL and TLS; they win over ours.
    default_spec
        How a topic is made that is appended to before it is created.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        *,
        extra: Mapping[str, object] = MappingProxyType({}),
        default_spec: TopicSpec = DEFAULT_SPEC,
    ) -> None:
        self._cluster = Cluster(bootstrap_servers, extra, default_spec)
        self._guard = threading.Lock()
        self._producer: Producer | None = None
        self._opened: list[KafkaConsumer | KafkaPublisher] = []
        self._askers: dict[str, Client] = {}

    def create_topic(self, name: str, spec: TopicSpec) -> None:
        """See `broker.stream.log.Log.create_topic`."""
        self._cluster.create(name, spec)

    def topics(self) -> dict[str, int]:
        """See `broker.stream.log.Log.topics`."""
        return self._cluster.topics()

    def append(self, messages: Sequence[Message]) -> dict[TopicPartition, list[int]]:
        """See `broker.stream.log.Log.append`. After an error some may have been appended."""
        failed: list[KafkaError] = []
        appended: dict[TopicPartition, list[int]] = {}

        def on_delivery(error: KafkaError | None, message: Delivered) -> None:
            if error is not None:
                failed.append(error)
            else:
                place = TopicPartition(str(message.topic()), int(message.partition() or 0))
                appended.setdefault(place, []).append(int(message.offset() or 0))

        self._cluster.ensure(messages)
        with self._guard:
            settings = {**self._cluster.producer_settings(), "delivery.report.only.error": False}  # offsets are told
            producer = self._producer = self._producer or Producer(settings)
        with translate("appending", self._cluster.hint):
            for number, message in enumerate(messages):
                produce(producer, message, on_delivery)
                if not number % 1000:
                    producer.poll(0)
            left = producer.flush(FLUSH_SECONDS)
        if failed:
            if any(error.fatal() for error in failed):
                self._producer = None
            raise mapped(failed[0], f"appending to {messages[0].topic}", self._cluster.hint)
        if left:
            message_ = f"Kafka has not taken {left} messages within {FLUSH_SECONDS:g} s ({self._cluster.hint or 'no answer'})"
            raise LogUnavailableError(message_)
        return {place: sorted(offsets) for place, offsets in appended.items()}

    def publisher(self, name: str) -> KafkaPublisher:
        """See `broker.stream.log.Log.publisher`."""
        publisher = KafkaPublisher(self._cluster, name)
        self._keep(publisher)
        return publisher

    def consumer(self, group: str | None, topics: Sequence[str], start: Start = "earliest") -> KafkaConsumer:
        """See `broker.stream.log.Log.consumer`."""
        consumer = KafkaConsumer(self._cluster, group, topics, start)
        self._keep(consumer)
        return consumer

    def bounds(self, topic: str) -> dict[TopicPartition, tuple[int, int]]:
        """See `broker.stream.log.Log.bounds`."""
        places = [TopicPartition(topic, number) for number in range(self._cluster.topics().get(topic, 0))]
        first = self._cluster.offsets(places, EARLIEST)
        after = self._cluster.offsets(places, LATEST)
        return {place: (first[place], after[place]) for place in places}

    def group_lag(self, group: str) -> dict[TopicPartition, int]:
        """See `broker.stream.log.Log.group_lag`. Where outputs are read, the markers of their transactions count as records."""
        known = self._committed(group)
        first, ends = self._cluster.offsets(known, EARLIEST), self._cluster.offsets(known, LATEST)
        # What retention has dropped cannot be read any more.
        return {place: max(0, ends[place] - max(offset, first[place])) for place, offset in sorted(known.items())}

    def _committed(self, group: str) -> dict[TopicPartition, int]:
        """Offsets a group has committed, asked for by a client that carries its name and never joins it.

        librdkafka 2.16 ends with a segmentation fault where its administrator asks a group's coordinator that is still loading.
        """
        with self._guard:
            asker = self._askers.get(group)
            if asker is None:
                asker = self._askers[group] = Client({**self._cluster.consumer_settings(), "group.id": group})
        places = [Place(name, number) for name, count in self._cluster.topics().items() for number in range(count)]
        with translate(f"asking for the offsets of {group}", self._cluster.hint):
            found = asker.committed(places, ANSWER_SECONDS) if places else []
        return {TopicPartition(place.topic, place.partition): place.offset for place in found if place.offset >= 0}

    def close(self) -> None:
        """See `broker.stream.log.Log.close`."""
        while self._opened:
            self._opened.pop().close()
        while self._askers:
            self._askers.popitem()[1].close()
        self._producer = None

    def _keep(self, opened: KafkaConsumer | KafkaPublisher) -> None:
        """Close it with the log, unless it is closed before; those that are need no keeping."""
        with self._guard:
            self._opened = [*(each for each in self._opened if not each.closed), opened]
