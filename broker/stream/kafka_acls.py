"""Access control lists of a subscriber: which there are, and what they add up to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

__all__ = ["any_of", "bindings", "covers", "group_prefix", "ours", "principal", "topics_of", "user_of"]

_PRINCIPAL = "User:"
_EVERYBODY = f"{_PRINCIPAL}*"
_ANY_HOST = "*"
_SEEING = {  # each of them lets one see a topic and where it ends
    AclOperation.ALL,
    AclOperation.ALTER,
    AclOperation.DELETE,
    AclOperation.DESCRIBE,
    AclOperation.READ,
    AclOperation.WRITE,
}


def principal(user: str) -> str:
    """How Kafka writes a user."""
    return f"{_PRINCIPAL}{user}"


def user_of(binding: AclBinding) -> str:
    """The user a binding is of."""
    return str(binding.principal).removeprefix(_PRINCIPAL)


def group_prefix(user: str) -> str:
    """How the names of all consumer groups of a user begin."""
    return f"{user}-"


def bindings(user: str, topics: Iterable[str]) -> list[AclBinding]:
    """What a user needs to read topics, and no more.

    To read committed records a consumer asks for a topic's metadata and its last stable offset, and fetches: DESCRIBE and READ.
    librdkafka, and so kcat, looks up the coordinator of its group even where it commits nothing, which asks for DESCRIBE of the
    group; joining it and committing ask for READ. Kafka takes READ for DESCRIBE as well; other authorizers may not.
    """
    literal, prefixed = ResourcePatternType.LITERAL, ResourcePatternType.PREFIXED
    resources = [(ResourceType.GROUP, group_prefix(user), prefixed)]
    resources += [(ResourceType.TOPIC, topic, literal) for topic in sorted(set(topics))]
    return [
        AclBinding(*resource, principal(user), _ANY_HOST, operation, AclPermissionType.ALLOW)
        for resource in resources
        for operation in (AclOperation.READ, AclOperation.DESCRIBE)
    ]


def ours(found: Iterable[AclBinding]) -> set[str]:
    """Users who may read groups under their own name: the mark of those made here, since Kafka has no place for one."""
    return {
        user_of(one)
        for one in found
        if one.restype == ResourceType.GROUP
        and one.resource_pattern_type == ResourcePatternType.PREFIXED
        and one.name == group_prefix(user_of(one))
        and one.operation == AclOperation.READ
        and one.permission_type == AclPermissionType.ALLOW
    }


def topics_of(user: str, found: Iterable[AclBinding]) -> tuple[str, ...]:
    """Topics a user may read by name."""
    return tuple(
        sorted(
            {
                one.name
                for one in found
                if one.principal == principal(user)
                and one.restype == ResourceType.TOPIC
                and one.operation == AclOperation.READ
                and one.permission_type == AclPermissionType.ALLOW
            }
        )
    )


def covers(found: Iterable[AclBinding], user: str, topic: str) -> bool:
    """Whether a list lets a user see a topic, be it one for everybody."""
    return any(
        one.restype == ResourceType.TOPIC
        and one.permission_type == AclPermissionType.ALLOW
        and one.operation in _SEEING
        and one.principal in {principal(user), _EVERYBODY}
        and _names(one, topic)
        for one in found
    )


def _names(one: AclBinding, topic: str) -> bool:
    if one.resource_pattern_type == ResourcePatternType.PREFIXED:
        return topic.startswith(one.name)
    return one.name in {topic, "*"}


def any_of(
    user: str | None = None,
    *,
    kind: ResourceType = ResourceType.ANY,
    name: str | None = None,
    pattern: ResourcePatternType = ResourcePatternType.ANY,
) -> AclBindingFilter:
    """Every list, or those of a user and of a resource."""
    whose = None if user is None else principal(user)
    # What is None matches anything, which its type hints do not know.
    asked: Any = (kind, name, pattern, whose, None, AclOperation.ANY, AclPermissionType.ANY)
    return AclBindingFilter(*asked)
