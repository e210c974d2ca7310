"""`subscribe`: one way in, to Kafka or to the API."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from consumers.kafka import KafkaStream
from consumers.live import LiveStream
from consumers.options import OnError, Options, Start, Stream, topic_names

__all__ = ["subscribe"]


def subscribe(
    topics: str | Sequence[str],
    bootstrap_servers: str = "localhost:9092",
    *,
    group: str | None = None,
    start_at: Start = "latest",
    until: datetime | None = None,
    config: Mapping[str, Any] | None = None,
    registry: str | None = None,
    schema: Mapping[str, Any] | None = None,
    isolation: Literal["read_committed", "read_uncommitted"] = "read_committed",
    timeout: float | None = None,
    autocommit: bool = False,
    on_error: OnError = "raise",
    on_wait: Callable[[str], None] | None = None,
    token: str | None = None,
) -> Stream:
    """Alerts as they come, or as they came.

    Parameters
    ----------
    topics
        Filters (``ztf_bright_transients``), topics (``alerts.ztf``), or regular expressions of topics (``^matched[.].*``).
    bootstrap_servers
        Kafka's, or ``http://host:port`` of a Nuncius API: where the broker runs on its embedded log, that is where to read.
    group
        Readers of one group share the partitions and go on where the group last committed. Without one all partitions are
        read and nothing is kept.
    start_at
        ``earliest``, ``latest``, a time (UTC-aware), or offsets by (topic, partition). With a group it counts where the
        group has committed nothing; offsets always count. Over the API also an `Alert.position`.
    until
        Stop before the first record of that time, in each partition: with `start_at` a replay by time. A time that has come
        already means all there is up to it; records are timed by when the broker put them out.
    config
        librdkafka properties, such as ``security.protocol`` and ``sasl.*``.
    registry
        Schema registry, such as ``http://host:8000/registry`` of a Nuncius API. Without it the schemas that come with the
        client are used.
    schema
        Writer's schema as JSON has it, instead of any look-up.
    isolation
        ``read_committed`` shows each alert once; ``read_uncommitted`` shows also what a crashed broker will put out again.
    timeout
        Seconds to wait for a broker that is away before giving up; for ever where not given.
    autocommit
        Let Kafka's client commit in the background what was fetched: simpler, and an alert can be lost in a crash. Else the
        reader says when an alert is done with: `Alert.commit`.
    on_error
        ``raise`` `BadRecordError` for a record that cannot be read, the bytes on it, and go on with the next call; or ``skip``.
    on_wait
        Told, in words, what is waited for and what was skipped.
    token
        Over the API, where it asks for an account: ``ncs_...``. Where not given, ``NUNCIUS_TOKEN`` of the environment.

    Returns
    -------
    Stream
        A context manager and an iterator of `Alert`.

    Raises
    ------
    RequestError
        The arguments ask for what cannot be.

    Examples
    --------
    Follow a filter, losing nothing if the program dies::

        with subscribe("ztf_bright_transients", "localhost:9092", group="my-telescope") as stream:
            for alert in stream:
                point_at(alert.ra, alert.dec)
                alert.commit()
    """
    options = Options(
        topics=topic_names(topics),
        bootstrap_servers=bootstrap_servers,
        group=group,
        start_at=start_at,
        until=until,
        config=dict(config or {}),
        registry=registry,
        schema=schema,
        isolation=isolation,
        timeout=timeout,
        autocommit=autocommit,
        on_error=on_error,
        on_wait=on_wait,
        token=token,
    )
    return LiveStream(options) if bootstrap_servers.startswith(("http://", "https://")) else KafkaStream(options)
