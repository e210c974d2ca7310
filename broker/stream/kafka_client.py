"""Where Kafka's settings are chosen and its errors become ours."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec  # type: ignore[attr-defined]

from broker.errors import FencedError, LogUnavailableError, NunciusError, UsageError
from broker.record import Message, TopicPartition
from broker.stream.log import TopicSpec
from broker.telemetry import get_logger

__all__ = ["ANSWER_SECONDS", "EARLIEST", "LATEST", "Cluster", "mapped", "new_topic", "produce", "translate"]

log = get_logger(__name__)

EARLIEST: Any = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
LATEST: Any = OffsetSpec.latest()  # type: ignore[no-untyped-call]

ANSWER_SECONDS = 15.0  # how long a request to the cluster may take before it counts as away
HEADROOM_BYTES = (
    65_536  # for key, headers and framing on top of the largest payload: a dead letter has more headers than its record
)

_FENCED = {KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, 90}  # noqa: SLF001 - librdkafka's own codes; 90 is PRODUCER_FENCED
_PASSING = {
    KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
    KafkaError._ASSIGNMENT_LOST,  # noqa: SLF001
    KafkaError._MAX_POLL_EXCEEDED,  # noqa: SLF001
    KafkaError._MSG_TIMED_OUT,  # noqa: SLF001
    KafkaError._PURGE_INFLIGHT,  # noqa: SLF001
    KafkaError._PURGE_QUEUE,  # noqa: SLF001
    KafkaError._QUEUE_FULL,  # noqa: SLF001
    KafkaError._RESOLVE,  # noqa: SLF001
    KafkaError._STATE,  # noqa: SLF001
    KafkaError._TIMED_OUT,  # noqa: SLF001
    KafkaError._TRANSPORT,  # noqa: SLF001
    KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
    KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
    KafkaError._WAIT_COORD,  # noqa: SLF001
    KafkaError.CONCURRENT_TRANSACTIONS,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.INVALID_PRODUCER_ID_MAPPING,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError.NOT_ENOUGH_REPLICAS,
    KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.UNKNOWN_PRODUCER_ID,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.UNSTABLE_OFFSET_COMMIT,
}


def mapped(error: KafkaError, doing: str, hint: str = "") -> NunciusError:
    """Kafka's error as ours.

    Parameters
    ----------
    doing
        What was being done, with the name of the thing.
    hint
        What a client last complained of, which says more than a time-out.
    """
    text = f"Kafka, {doing}: {error.str()}" + (f" (last: {hint})" if hint and hint != error.str() else "")
    if error.code() in _FENCED:
        return FencedError(f"{text}: a newer publisher has taken the name; give each process a name of its own")
    if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
        return UsageError(f"{text}: raise max.message.bytes of the topic, or send less")
    if error.retriable() or error.code() in _PASSING:
        return LogUnavailableError(text)
    return NunciusError(f"{text}: see the address, the credentials and what they are allowed")


@contextlib.contextmanager
def translate(doing: str, hint: str = "") -> Iterator[None]:
    """Kafka's errors raised inside as ours."""
    try:
        yield
    except KafkaException as error:
        raise mapped(error.args[0], doing, hint) from error


def new_topic(name: str, spec: TopicSpec) -> NewTopic:
    """Kafka's description of a topic."""
    config = {
        "retention.ms": str(-1 if spec.retention_hours is None else int(spec.retention_hours * 3_600_000)),
        "compression.type": "uncompressed" if spec.compression == "none" else spec.compression,
        "max.message.bytes": str(spec.max_message_bytes + HEADROOM_BYTES),
    }
    return NewTopic(name, num_partitions=spec.partitions, replication_factor=spec.replication, config=config)


def produce(producer: Producer, message: Message, on_delivery: Any) -> None:
    """Hand a message to the producer, waiting while its queue is full."""
    while True:
        try:
            producer.produce(
                message.topic,
                value=message.value,
                key=message.key,
                headers=list(message.headers),
                timestamp=message.timestamp or 0,
                on_delivery=on_delivery,
            )
        except BufferError:
            producer.poll(0.05)
        else:
            return


class Cluster:
    """The cluster as its administrator sees it, and what its clients are set to.

    Parameters
    ----------
    bootstrap_servers
        Addresses as ``host:port,host:port``.
    extra
        librdkafka properties for every client, such as those of SASL and TLS; they win over ours.
    default_spec
        How a topic is made that is missing.
    """

    def __init__(self, bootstrap_servers: str, extra: Mapping[str, object], default_spec: TopicSpec) -> None:
        self.spec = default_spec
        self.hint = ""
        self._extra: dict[str, Any] = dict(extra)
        self._common: dict[str, Any] = {"bootstrap.servers": bootstrap_servers, "error_cb": self._complain, "log_level": 4}
        self._known: set[str] = set()
        self._admin: AdminClient | None = None
        self._guard = threading.Lock()

    def _complain(self, error: KafkaError) -> None:
        """Remember and log what a client says of its connections; it goes on trying by itself."""
        if error.str() != self.hint:
            log.warning("kafka_client", error=error.str())
        self.hint = error.str()

    @property
    def admin(self) -> AdminClient:
        """Its administrator, connected at first use."""
        with self._guard:  # a second one, made by another thread and let go of, would take its answers with it
            if self._admin is None:
                self._admin = AdminClient({**self._common, **self._extra})
            return self._admin

    def producer_settings(self) -> dict[str, Any]:
        """For a producer: idempotent, and as fast as that can be."""
        return {
            **self._common,
            "enable.idempotence": True,
            "partitioner": "murmur2_random",  # as Java's clients have it
            "linger.ms": 2,
            "retry.backoff.ms": 5,  # a transaction that follows at once on another is told to try again
            "retry.backoff.max.ms": 500,
            "batch.size": 2 << 20,
            "message.max.bytes": self.spec.max_message_bytes + 2 * HEADROOM_BYTES,
            "message.timeout.ms": 30_000,
            "queue.buffering.max.kbytes": 512 << 10,
            "delivery.report.only.error": True,
            "compression.type": "none" if self.spec.compression == "producer" else self.spec.compression,
            "topic.metadata.propagation.max.ms": 10_000,
            **self._extra,
        }

    def consumer_settings(self) -> dict[str, Any]:
        """For a consumer: committed records only, offsets by hand, soon told of new topics and dead members."""
        return {
            **self._common,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": 10_000,
            "heartbeat.interval.ms": 2_000,
            "max.poll.interval.ms": 600_000,
            "topic.metadata.refresh.interval.ms": 1_000,
            "allow.auto.create.topics": False,
            "fetch.wait.max.ms": 50,
            "fetch.queue.backoff.ms": 5,
            "fetch.error.backoff.ms": 50,
            "fetch.message.max.bytes": max(4 << 20, self.spec.max_message_bytes + HEADROOM_BYTES),
            "queued.min.messages": 20_000,
            "queued.max.messages.kbytes": 128 << 10,
            "check.crcs": True,
            **self._extra,
        }

    def topics(self) -> dict[str, int]:
        """Partitions by topic, without Kafka's own."""
        with translate("listing topics", self.hint):
            listed = self.admin.list_topics(timeout=ANSWER_SECONDS).topics
        return {name: len(topic.partitions) for name, topic in sorted(listed.items()) if not name.startswith("__")}

    def create(self, name: str, spec: TopicSpec) -> None:
        """Make a topic unless it exists, and wait until the cluster shows it."""
        future = self.admin.create_topics([new_topic(name, spec)], operation_timeout=ANSWER_SECONDS)[name]
        try:
            with translate(f"creating topic {name}", self.hint):
                future.result(ANSWER_SECONDS * 2)
        except NunciusError as error:
            cause = error.__cause__
            if not (isinstance(cause, KafkaException) and cause.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS):
                raise
        deadline = time.monotonic() + ANSWER_SECONDS
        while name not in self.topics():
            if time.monotonic() > deadline:
                message = f"Kafka does not show topic {name} it has made"
                raise LogUnavailableError(message)
            time.sleep(0.02)
        self._known.add(name)

    def ensure(self, messages: Iterable[Message], *, largest: int = 0) -> None:
        """Make the topics that are missing.

        Raises
        ------
        UsageError
            A payload is larger than topics are made to take.
        """
        names: set[str] = set()
        for message in messages:
            names.add(message.topic)
            largest = max(largest, len(message.value))
        if largest > self.spec.max_message_bytes:
            text = f"a message of {largest} bytes is too large, topics take {self.spec.max_message_bytes}"
            raise UsageError(text)
        if names <= self._known:
            return
        self._known |= self.topics().keys()
        for name in sorted(names - self._known):
            self.create(name, self.spec)

    def offsets(self, places: Iterable[TopicPartition], spec: Any, **options: Any) -> dict[TopicPartition, int]:
        """Offsets of those partitions, all asked for at once."""
        from confluent_kafka import TopicPartition as Place  # noqa: PLC0415 - the same name as ours

        wanted = {Place(topic, number): spec for topic, number in places}
        if not wanted:
            return {}
        futures = self.admin.list_offsets(wanted, request_timeout=ANSWER_SECONDS, **options)
        with translate("asking for offsets", self.hint):
            return {
                TopicPartition(place.topic, place.partition): future.result(ANSWER_SECONDS * 2).offset
                for place, future in futures.items()
            }
