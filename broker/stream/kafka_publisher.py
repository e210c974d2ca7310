"""Publishing to Kafka in transactions."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import TopicPartition as Place

from broker.errors import FencedError, LogUnavailableError, UsageError
from broker.record import Message, TopicPartition
from broker.stream.kafka_client import ANSWER_SECONDS, Cluster, mapped, produce, translate
from broker.stream.kafka_consumer import KafkaConsumer
from broker.stream.log import Consumer

__all__ = ["KafkaPublisher"]


class KafkaPublisher:
    """See `broker.stream.log.Publisher`.

    Parameters
    ----------
    name
        The transactional id. Keep it the same over restarts: a new start then settles at once what a crash left open.
    """

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.closed = False
        self._cluster = cluster
        self._name = name
        self._guard = threading.Lock()
        self._producer: Producer | None = None
        self._fenced: FencedError | None = None
        self._open()

    def _open(self) -> Producer:
        """A producer with the name, after anything begun under it has been ended."""
        settings = {
            **self._cluster.producer_settings(),
            "transactional.id": self._name,
            "transaction.timeout.ms": 60_000,
        }
        producer = Producer(settings)
        with translate(f"taking the publisher name {self._name}", self._cluster.hint):
            _insist(lambda: producer.init_transactions(ANSWER_SECONDS))
        self._producer = producer
        return producer

    def publish(
        self,
        messages: Sequence[Message],
        consumer: Consumer | None = None,
        offsets: Mapping[TopicPartition, int] | None = None,
    ) -> None:
        """See `broker.stream.log.Publisher.publish`."""
        with self._guard:
            if self._fenced is not None:
                raise self._fenced
            producer = self._producer or self._open()
            if not messages and not offsets:
                return
            metadata = _group_of(consumer, offsets)
            self._cluster.ensure(messages)
            failed: list[KafkaError] = []
            try:
                self._transact(producer, messages, offsets or {}, metadata, failed)
            except KafkaException as error:
                self._abandon(producer, error.args[0], failed)
            except BaseException:
                self._drop()
                raise

    def _transact(
        self,
        producer: Producer,
        messages: Sequence[Message],
        offsets: Mapping[TopicPartition, int],
        metadata: Any,
        failed: list[KafkaError],
    ) -> None:
        def on_delivery(error: KafkaError | None, _: object) -> None:
            if error is not None:
                failed.append(error)

        producer.begin_transaction()
        for number, message in enumerate(messages):
            produce(producer, message, on_delivery)
            if not number % 1000:
                producer.poll(0)
        if offsets:
            places = [Place(topic, number, offset) for (topic, number), offset in offsets.items()]
            _insist(lambda: producer.send_offsets_to_transaction(places, metadata, ANSWER_SECONDS))
        _insist(lambda: producer.commit_transaction(ANSWER_SECONDS))

    def _abandon(self, producer: Producer, error: KafkaError, failed: list[KafkaError]) -> None:
        """End a transaction that failed, and say why. Where it cannot be ended, a new producer will."""
        cause = mapped(failed[0] if failed else error, f"publishing as {self._name}", self._cluster.hint)
        end = mapped(error, f"publishing as {self._name}", self._cluster.hint)
        if isinstance(end, FencedError):
            self._fenced = cause = end
            self._drop()
        elif error.fatal() or not error.txn_requires_abort():
            self._drop()
            # Whatever is fatal to a producer, such as a lost sequence, is not to the next one.
            cause = cause if failed or not error.fatal() else LogUnavailableError(str(cause))
        else:
            try:
                _insist(lambda: producer.abort_transaction(ANSWER_SECONDS))
            except KafkaException:
                self._drop()
        raise cause from KafkaException(error)

    def _drop(self) -> None:
        if self._producer is not None:
            with contextlib.suppress(KafkaException):
                self._producer.purge()
                self._producer.poll(0)
            self._producer = None

    def close(self) -> None:
        """See `broker.stream.log.Publisher.close`."""
        self.closed = True
        with self._guard:
            self._drop()


def _group_of(consumer: Consumer | None, offsets: Mapping[TopicPartition, int] | None) -> Any:
    """The group's metadata, after seeing that this member still reads what it commits.

    Kafka itself sees only that the member is of the group's present generation.
    """
    if not offsets:
        return None
    if not isinstance(consumer, KafkaConsumer):
        message = "offsets are published with the consumer of the same log that read them"
        raise UsageError(message)
    gone = offsets.keys() - consumer.assignment()
    if gone:
        message = f"this member of the group no longer reads {sorted(gone)}: another took over"
        raise LogUnavailableError(message)
    return consumer.group_metadata()


def _insist(request: Callable[[], object]) -> None:
    """Repeat a request of the transaction protocol while Kafka says that it may be repeated."""
    deadline = time.monotonic() + 2 * ANSWER_SECONDS
    while True:
        try:
            request()
        except KafkaException as error:
            if not error.args[0].retriable() or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
