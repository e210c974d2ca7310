"""Who of our subscribers may read which filters' topics on Kafka."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from broker import topics
from broker.errors import RefusedError, UsageError
from broker.settings import Settings
from broker.stream import kafka_access
from broker.stream.kafka_access import Access, Credentials
from broker.stream.kafka_acls import group_prefix

__all__ = ["client_properties", "cluster", "filters_of", "grant", "listing", "revoke"]


def grant(settings: Settings, user: str, filters: Collection[str], *, rotate: bool = False) -> Credentials:
    """Let a user read the matches of filters; see `broker.stream.kafka_access.grant`.

    Raises
    ------
    UsageError
        There is no Kafka, or the user cannot have that name.
    RefusedError
        The user would own groups that are ours.
    """
    servers, properties = cluster(settings)
    kafka_access.checked_user(user)
    for group in _groups(settings):
        if group.startswith(group_prefix(user)):
            raise RefusedError(f"Kafka user {user!r} would own our consumer group {group!r}: take another name")
    return kafka_access.grant(servers, properties, user, [topics.matched(name) for name in filters], rotate=rotate)


def revoke(settings: Settings, user: str, filters: Collection[str] = ()) -> None:
    """Take filters from a user, or all of it; see `broker.stream.kafka_access.revoke`."""
    kafka_access.revoke(*cluster(settings), user, [topics.matched(name) for name in filters])


def listing(settings: Settings) -> list[Access]:
    """Everybody who was granted something."""
    return kafka_access.listing(*cluster(settings))


def filters_of(access: Access) -> list[str]:
    """Names of the filters that somebody may read; a topic that is none of a filter's under its own name."""
    start = topics.matched("")
    return [topic.removeprefix(start) for topic in access.topics]


def client_properties(settings: Settings, credentials: Credentials) -> dict[str, str]:
    """What a subscriber's client is set to, as librdkafka calls it; TLS as ours, without the password."""
    servers, properties = cluster(settings)
    secure = "ssl" in str(properties.get("security.protocol", "")).lower().removeprefix("sasl_")
    return {
        "bootstrap.servers": servers,
        "security.protocol": "sasl_ssl" if secure else "sasl_plaintext",
        "sasl.mechanism": credentials.mechanism,
        "sasl.username": credentials.user,
    }


def cluster(settings: Settings) -> tuple[str, Mapping[str, object]]:
    """Addresses of our Kafka, and the properties of our clients.

    Raises
    ------
    UsageError
        The log is the embedded one.
    """
    if settings.log.engine != "kafka":
        raise UsageError(
            "the embedded log has no accounts of its own: subscribers read it through the API (nuncius listen --api URL, "
            'webhooks), or set log.engine = "kafka", see docs/operations.md, Kafka with passwords'
        )
    return settings.log.bootstrap_servers, settings.log.properties


def _groups(settings: Settings) -> Iterator[str]:
    """Names of the consumer groups we use on our topics, as far as they are set."""
    yield from (settings.process.group, settings.deliver.group)
    yield from (one.group for one in settings.relay.values() if one.group)
    yield from (one.group for one in settings.ingest.values() if one.group)
