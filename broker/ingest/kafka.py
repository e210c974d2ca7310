"""Upstream Kafka into ``raw.<stream>``: survey topics, GCN through gcn-kafka, SCiMMA through hop-client.

An upstream's offsets are committed only after our log has the bytes, so a crash in between brings the same bytes again, which
``process`` then knows as duplicates.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

import confluent_kafka
import gcn_kafka
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_random_exponential

from broker.errors import TransientError, UsageError
from broker.ingest.raw import Received
from broker.record import Headers
from broker.telemetry import get_logger

__all__ = ["Batch", "Upstream", "follow", "open_upstream"]

log = get_logger(__name__)

POLL_RECORDS = 500
POLL_SECONDS = 0.1
REFRESH_SECONDS = 15.0  # between looks for topics that a pattern matches: daily ones appear at dusk


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where to take alerts from.

    Parameters
    ----------
    kind
        ``kafka`` for any cluster, ``gcn`` for NASA's, ``hop`` for SCiMMA's.
    topics
        Names; one that begins with ``^`` is a regular expression of Python's, so that daily topics are followed as they appear.
    properties
        librdkafka's own settings, passed through.
    """

    kind: Literal["kafka", "gcn", "hop"]
    topics: tuple[str, ...]
    group: str
    bootstrap_servers: str = ""
    start: Literal["earliest", "latest"] = "earliest"
    client_id: str = ""
    client_secret: str = ""
    username: str = ""
    password: str = ""
    domain: str = "gcn.nasa.gov"
    properties: Mapping[str, str | int | float | bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Batch:
    """Some received bytes, and how to tell the upstream that we have them."""

    received: list[Received]
    commit: Callable[[], None]


def follow(upstream: Upstream, take: Callable[[list[Received]], None], stop: threading.Event, *, wait: float = 30.0) -> None:
    """Hand every batch of the upstream to `take`, then commit it, until `stop` is set.

    Parameters
    ----------
    take
        Puts the bytes into our log; returns when they are durable. A `TransientError` is waited out and tried again.
    wait
        Longest pause between tries, seconds.
    """

    def note(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.warning("waiting for our log", upstream=upstream.topics, error=str(error), attempt=state.attempt_number)

    retrying = Retrying(
        retry=retry_if_exception_type(TransientError),
        wait=wait_random_exponential(max=wait),
        before_sleep=note,
        sleep=lambda seconds: (stop.wait(seconds), None)[1],
        stop=lambda _state: stop.is_set(),
        reraise=True,
    )
    for batch in open_upstream(upstream, stop):
        retrying(take, batch.received)
        batch.commit()


def open_upstream(upstream: Upstream, stop: threading.Event) -> Iterator[Batch]:
    """Batches of an upstream until `stop` is set."""
    return _hop(upstream, stop) if upstream.kind == "hop" else _kafka(upstream, stop)


def _kafka(upstream: Upstream, stop: threading.Event) -> Iterator[Batch]:
    with closing(_consumer(upstream)) as consumer:
        names: frozenset[str] = frozenset()
        looked = -math.inf
        while not stop.is_set():
            if time.monotonic() - looked > REFRESH_SECONDS:
                looked = time.monotonic()
                names = _follow_topics(consumer, upstream.topics, names)
            if not names:
                stop.wait(POLL_SECONDS)
                continue
            messages = [message for message in consumer.consume(POLL_RECORDS, POLL_SECONDS) if _is_record(message)]
            if messages:
                yield Batch([_received(upstream, message) for message in messages], lambda: _commit(consumer))


def _follow_topics(consumer: confluent_kafka.Consumer, patterns: tuple[str, ...], before: frozenset[str]) -> frozenset[str]:
    """Subscribe to the topics there are now; patterns are Python's, as librdkafka's own know no character classes."""
    plain = frozenset(pattern for pattern in patterns if not pattern.startswith("^"))
    try:
        there = consumer.list_topics(timeout=10.0).topics if len(plain) < len(patterns) else ()
    except confluent_kafka.KafkaException as error:
        log.warning("upstream is away", error=str(error))
        return before
    names = plain | {name for name in there for pattern in patterns if pattern.startswith("^") and re.match(pattern, name)}
    if names != before:
        if names:
            consumer.subscribe(sorted(names))
        else:
            consumer.unsubscribe()  # to follow nothing by name is an error to librdkafka
        log.info("following upstream topics", topics=sorted(names))
    elif not names:
        log.info("upstream has no such topic yet", topics=patterns)
    return names


def _commit(consumer: confluent_kafka.Consumer) -> None:
    try:
        consumer.commit(asynchronous=False)
    except confluent_kafka.KafkaException as error:
        # The bytes are ours already: at worst they come again and are told apart as duplicates.
        log.warning("upstream took no commit", error=str(error))


def _consumer(upstream: Upstream) -> confluent_kafka.Consumer:
    config: dict[str, object] = {
        "group.id": upstream.group,
        "auto.offset.reset": upstream.start,
        "enable.auto.commit": False,
        "allow.auto.create.topics": False,
        "fetch.wait.max.ms": 50,
        **({"bootstrap.servers": upstream.bootstrap_servers} if upstream.bootstrap_servers else {}),
        **upstream.properties,
    }
    if upstream.kind == "gcn":
        return gcn_kafka.Consumer(
            config,
            client_id=upstream.client_id or None,
            client_secret=upstream.client_secret or None,
            domain=upstream.domain,  # type: ignore[arg-type]
        )
    if upstream.username:
        config |= {"sasl.username": upstream.username, "sasl.password": upstream.password}
        config.setdefault("security.protocol", "SASL_SSL")
        config.setdefault("sasl.mechanisms", "SCRAM-SHA-512")
    return confluent_kafka.Consumer(config)


def _is_record(message: confluent_kafka.Message) -> bool:
    # The text of an error is delivered in place of a value: taken for one, it would become an alert.
    error = message.error()
    if error is None:
        return message.value() is not None
    if error.code() == confluent_kafka.KafkaError.UNKNOWN_TOPIC_OR_PART:
        log.info("upstream topic has no recent message", topic=message.topic(), error=error.str())
    else:
        log.warning("upstream error", topic=message.topic(), error=error.str())
    return False


def _received(upstream: Upstream, message: confluent_kafka.Message) -> Received:
    host = upstream.bootstrap_servers or upstream.domain
    origin = f"kafka://{host}/{message.topic()}/{message.partition()}/{message.offset()}@{message.timestamp()[1]}"
    return Received(message.value() or b"", origin, message.key(), _headers(message.headers()))


def _headers(headers: Mapping[str, str | bytes | None] | Iterable[tuple[str, str | bytes | None]] | None) -> Headers:
    pairs = headers.items() if isinstance(headers, Mapping) else headers or ()
    return tuple((name, value.encode() if isinstance(value, str) else value or b"") for name, value in pairs)


def _hop(upstream: Upstream, stop: threading.Event) -> Iterator[Batch]:
    # Here and not above: the import reads the user's hop configuration and takes half a second.
    from hop import Stream  # noqa: PLC0415
    from hop.auth import Auth  # noqa: PLC0415
    from hop.io import StartPosition  # noqa: PLC0415

    if any(topic.startswith("^") for topic in upstream.topics):
        raise UsageError(f"hop-client takes topic names only, no regular expressions: {upstream.topics}")
    auth = Auth(upstream.username, upstream.password) if upstream.username else False
    start = StartPosition.EARLIEST if upstream.start == "earliest" else StartPosition.LATEST
    url = f"kafka://{upstream.bootstrap_servers or 'kafka.scimma.org'}/{','.join(upstream.topics)}"
    with Stream(auth=auth, start_at=start).open(url, "r", group_id=upstream.group) as consumer:
        threading.Thread(target=lambda: (stop.wait(), consumer.stop()), daemon=True).start()
        messages = consumer.read_raw(metadata=True, autocommit=False, batch_timeout=timedelta(seconds=POLL_SECONDS))
        for value, metadata in messages:
            origin = f"{url}/{metadata.topic}/{metadata.partition}/{metadata.offset}"
            yield Batch(
                [Received(value, origin, metadata.key, _headers(metadata.headers))],
                lambda metadata=metadata: consumer.mark_done(metadata, asynchronous=False),  # type: ignore[misc]
            )
