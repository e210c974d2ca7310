"""Credentials of subscribers on a Kafka cluster that asks for passwords, and what they may read there."""

from __future__ import annotations

import contextlib
import re
import secrets
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AdminClient,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)

from broker.errors import LogUnavailableError, NotFoundError, NunciusError, RefusedError, UsageError
from broker.stream.kafka_acls import any_of, bindings, covers, group_prefix, ours, principal, topics_of
from broker.stream.kafka_client import ANSWER_SECONDS, Cluster, mapped
from broker.stream.log import TopicSpec
from broker.telemetry import get_logger

__all__ = ["MECHANISM", "Access", "Credentials", "checked_user", "grant", "listing", "revoke"]

log = get_logger(__name__)

MECHANISM: Final = "SCRAM-SHA-512"
USER: Final = r"[a-z0-9][a-z0-9._]{0,63}"
RESERVED: Final = frozenset({"nuncius"})  # its groups begin like ours
ITERATIONS: Final = 8192
PASSWORD_BYTES: Final = 32
_NOBODY: Final = "nobody, asked whether we may"
_TRY_SECONDS = 0.2

_UNSUPPORTED: Final = {KafkaError.UNSUPPORTED_VERSION, KafkaError.UNSUPPORTED_SASL_MECHANISM}


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a subscriber logs in with.

    Parameters
    ----------
    password
        Shown this once, nobody keeps it; ``None`` where the one given before stays.
    """

    user: str
    password: str | None = field(repr=False)
    mechanism: str = MECHANISM


@dataclass(frozen=True, slots=True)
class Access:
    """What a subscriber may do.

    Parameters
    ----------
    groups
        How the names of their consumer groups begin.
    password
        Whether they have one; not so where making or revoking was cut short.
    """

    user: str
    topics: tuple[str, ...]
    groups: str
    password: bool


def checked_user(user: str) -> str:
    """The name, if a subscriber can have it.

    A dash ends the name in the names of groups: with one inside, `ann` would own the groups of `ann-b`.

    Raises
    ------
    UsageError
        It cannot.
    """
    if not re.fullmatch(USER, user):
        raise UsageError(
            f"Kafka user {user!r}: take lower-case letters, digits, dots and underscores, 64 at most, first a letter or a "
            "digit, and no dash, since the user's consumer groups are called <user>-..."
        )
    if user in RESERVED:
        raise UsageError(f"Kafka user {user!r}: groups of that name are Nuncius' own; take another")
    return user


def grant(
    bootstrap_servers: str,
    properties: Mapping[str, object],
    user: str,
    topics: Collection[str],
    *,
    rotate: bool = False,
) -> Credentials:
    """Let a user read topics, and groups whose names begin with theirs; who is new gets a password.

    What is there already stays; done again, nothing changes.

    Parameters
    ----------
    properties
        librdkafka's, of an account that may alter the cluster.
    topics
        Names of topics, which need not exist yet.
    rotate
        Replace the password by another.

    Raises
    ------
    UsageError
        The user cannot have that name; the cluster knows no access control lists.
    RefusedError
        The user was not made here; or whoever logs in may read more than was granted.
    """
    own = properties.get("sasl.username")
    if checked_user(user) == own:
        raise RefusedError(f"Kafka user {user!r} is who Nuncius itself logs in as: take another name")
    admin = _admin(bootstrap_servers, properties)
    found, known = _bindings(admin), _users(admin)
    if user not in ours(found) and (user in known or any(one.principal == principal(user) for one in found)):
        raise RefusedError(
            f"the Kafka cluster has a user {user!r} that was not made here: take another name, or remove it first"
        )
    wanted = bindings(user, topics)
    _done(admin.create_acls(wanted, request_timeout=ANSWER_SECONDS).values(), f"granting topics to {user}")
    _settled(lambda: set(wanted) <= set(_bindings(admin)), f"granting topics to {user}")
    if user in known and not rotate:
        return Credentials(user, None)
    credentials = Credentials(user, secrets.token_urlsafe(PASSWORD_BYTES))
    _put(admin, credentials)
    excess = _excess(admin, bootstrap_servers, properties, credentials)
    if excess:
        revoke(bootstrap_servers, properties, user)
        raise RefusedError(
            f"Kafka user {user!r} could read {', '.join(excess[:3])} ({len(excess)} topics) without leave, so the password is "
            "taken back: set allow.everyone.if.no.acl.found=false on the cluster, and take no name of its super.users"
        )
    return credentials


def revoke(bootstrap_servers: str, properties: Mapping[str, object], user: str, topics: Collection[str] = ()) -> None:
    """Take topics from a user, or everything, password and all; connections that are open read no more at once.

    Raises
    ------
    NotFoundError
        No such user was made here, or they have no such topic.
    """
    admin = _admin(bootstrap_servers, properties)
    found = _bindings(admin)
    if user not in ours(found):
        raise NotFoundError(f"no Kafka user {user!r} was made here: `nuncius access list` names all there are")
    missing = set(topics) - set(topics_of(user, found))
    if missing:
        raise NotFoundError(
            f"Kafka user {user!r} was not granted {', '.join(sorted(missing))}: `nuncius access list` tells what was"
        )
    if topics:
        _delete(admin, [any_of(user, kind=ResourceType.TOPIC, name=topic) for topic in topics])
        _settled(lambda: not set(topics) & set(topics_of(user, _bindings(admin))), f"revoking {user}")
        return
    _delete(admin, [any_of(user, kind=ResourceType.TOPIC)])
    mechanisms = _users(admin).get(user, ())
    if mechanisms:
        alterations: Any = [UserScramCredentialDeletion(user, each) for each in mechanisms]
        _done(admin.alter_user_scram_credentials(alterations).values(), f"taking the password of {user}")
        _settled(lambda: user not in _users(admin), f"revoking {user}")
    _delete(admin, [any_of(user)])  # the mark that they are ours goes last, so that one who is half gone can be revoked again
    _settled(lambda: not any(one.principal == principal(user) for one in _bindings(admin)), f"revoking {user}")


def listing(bootstrap_servers: str, properties: Mapping[str, object]) -> list[Access]:
    """Every user made here, by name."""
    admin = _admin(bootstrap_servers, properties)
    found, known = _bindings(admin), _users(admin)
    return [Access(user, topics_of(user, found), group_prefix(user), user in known) for user in sorted(ours(found))]


def _admin(bootstrap_servers: str, properties: Mapping[str, object]) -> AdminClient:
    """Administrator of a cluster that has access control lists, and lets us change them.

    It is told by taking back what nobody has: where lists may not be read, librdkafka 2.16 gives an empty one for the refusal,
    and where users may not be listed, it ends the process with a corrupted memory.
    """
    admin = Cluster(bootstrap_servers, properties, TopicSpec()).admin
    _delete(admin, [any_of(_NOBODY, kind=ResourceType.TOPIC)])
    return admin


def _bindings(admin: AdminClient) -> list[AclBinding]:
    future = admin.describe_acls(any_of(), request_timeout=ANSWER_SECONDS)
    with _translate("reading access control lists"):
        return list(future.result(2 * ANSWER_SECONDS))


def _users(admin: AdminClient) -> dict[str, tuple[ScramMechanism, ...]]:
    """Mechanisms by user."""
    with _translate("listing users"):
        told: Any = admin.describe_user_scram_credentials(request_timeout=ANSWER_SECONDS)
        found = told.result(2 * ANSWER_SECONDS)
    return {name: tuple(one.mechanism for one in each.scram_credential_infos) for name, each in found.items()}


def _put(admin: AdminClient, credentials: Credentials) -> None:
    assert credentials.password is not None
    strength = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, ITERATIONS)
    wanted: Any = [UserScramCredentialUpsertion(credentials.user, strength, credentials.password.encode())]
    _done(admin.alter_user_scram_credentials(wanted).values(), f"setting the password of {credentials.user}")


def _delete(admin: AdminClient, filters: Any) -> None:
    _done(admin.delete_acls(filters, request_timeout=ANSWER_SECONDS).values(), "taking access control lists back")


def _done(futures: Collection[Future[Any]], doing: str) -> None:
    with _translate(doing):
        for future in futures:
            future.result(2 * ANSWER_SECONDS)


def _settled(what: Callable[[], bool], doing: str) -> None:
    """Wait until the cluster shows what it has taken: its controller does that, and its brokers hear of it."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while not what():
        if time.monotonic() > deadline:
            raise LogUnavailableError(f"Kafka, {doing}: taken, and not shown after {ANSWER_SECONDS:g} s: do it again")
        time.sleep(_TRY_SECONDS)


def _excess(
    admin: AdminClient, bootstrap_servers: str, properties: Mapping[str, object], credentials: Credentials
) -> list[str]:
    """Topics that are shown to who logs in with new credentials, and are on no list of theirs."""
    protocol = str(properties.get("security.protocol", "")).lower()
    theirs: dict[str, Any] = {name: value for name, value in properties.items() if not name.startswith("sasl.")}
    theirs |= {"bootstrap.servers": bootstrap_servers, "log_level": 0}
    theirs |= {"security.protocol": "sasl_ssl" if "ssl" in protocol.removeprefix("sasl_") else "sasl_plaintext"}
    theirs |= {"sasl.mechanisms": credentials.mechanism}
    theirs |= {"sasl.username": credentials.user, "sasl.password": credentials.password}
    visitor = AdminClient(theirs)
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        try:  # brokers take a moment to hear of the password
            shown = visitor.list_topics(timeout=1.0).topics
        except KafkaException as error:
            if time.monotonic() > deadline:
                # Subscribers may log in at another listener than ours, which we cannot know of.
                log.warning(
                    "the new password could not be tried where we connect: see that it reads no more than it should",
                    user=credentials.user,
                    servers=bootstrap_servers,
                    error=error.args[0].str(),
                )
                return []
        else:
            lists = _bindings(admin)
            return sorted(name for name in shown if not covers(lists, credentials.user, name))
        time.sleep(_TRY_SECONDS)


@contextlib.contextmanager
def _translate(doing: str) -> Iterator[None]:
    """Kafka's errors as ours, with the remedy."""
    try:
        yield
    except TimeoutError as error:
        raise LogUnavailableError(f"Kafka, {doing}: no answer within {2 * ANSWER_SECONDS:g} s") from error
    except KafkaException as error:
        raise _mapped(error.args[0], doing) from error


def _mapped(error: KafkaError, doing: str) -> NunciusError:
    if error.code() == KafkaError.SECURITY_DISABLED:
        return UsageError(
            f"Kafka, {doing}: the cluster has no authorizer, so everybody may read everything: set authorizer.class.name and "
            "a SASL listener on its brokers, see docs/operations.md, Kafka with passwords"
        )
    if error.code() == KafkaError.CLUSTER_AUTHORIZATION_FAILED:
        return RefusedError(
            f"Kafka, {doing}: the account of log.properties may not: it needs DESCRIBE and ALTER of the cluster, or to be "
            "one of its super.users"
        )
    if error.code() in _UNSUPPORTED:
        return UsageError(f"Kafka, {doing}: {error.str()}: the cluster is too old for it, or keeps its users elsewhere")
    return mapped(error, doing)
