"""Credentials and access control lists of subscribers, on a real cluster with passwords."""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Callable

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from broker.errors import NotFoundError, RefusedError, UsageError
from broker.stream import kafka_access
from broker.stream.kafka_acls import any_of, bindings, covers, ours
from tests.services import SaslKafka

pytestmark = pytest.mark.kafka


@pytest.fixture
def user() -> str:
    return f"u{uuid.uuid4().hex[:10]}"


@pytest.fixture(scope="module")
def admin(sasl_kafka: SaslKafka) -> AdminClient:
    return AdminClient(sasl_kafka.client())


@pytest.fixture(scope="module")
def there(admin: AdminClient) -> set[str]:
    """Topics that the cluster has."""
    names = {"matched.red", "matched.blue", "matched.red.more", "alerts.ztf", "raw.ztf", "dead-letter"}
    missing = names - admin.list_topics(timeout=10).topics.keys()
    for made in admin.create_topics([NewTopic(name, 2, 1) for name in sorted(missing)]).values() if missing else ():
        made.result()
    wait(lambda: names <= admin.list_topics(timeout=10).topics.keys())
    return names


def wait(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def shown(cluster: SaslKafka, user: str, password: str) -> set[str]:
    """Topics that somebody is shown; `KafkaException` where they are not let in."""
    visitor = AdminClient({"bootstrap.servers": cluster.servers, **cluster.of(user, password), "log_level": 0})
    return set(visitor.list_topics(timeout=5).topics)


def lists_of(admin: AdminClient, user: str) -> set[AclBinding]:
    return set(admin.describe_acls(any_of(user)).result(20))


def users(admin: AdminClient) -> set[str]:
    return set(admin.describe_user_scram_credentials().result(20))


def test_a_new_user_sees_what_was_granted_and_nothing_else(sasl_kafka: SaslKafka, there: set[str], user: str) -> None:
    made = kafka_access.grant(sasl_kafka.servers, sasl_kafka.properties, user, ["matched.red", "matched.not.yet"])
    assert made.user == user
    assert made.mechanism == "SCRAM-SHA-512"
    assert made.password is not None
    assert len(base64.urlsafe_b64decode(made.password + "=")) == 32
    assert made.password not in repr(made)
    assert shown(sasl_kafka, user, made.password) == {"matched.red"}
    found = {one.user: one for one in kafka_access.listing(sasl_kafka.servers, sasl_kafka.properties)}[user]
    assert (found.topics, found.groups, found.password) == (("matched.not.yet", "matched.red"), f"{user}-", True)


def test_no_two_passwords_are_alike(sasl_kafka: SaslKafka, there: set[str]) -> None:
    made = [
        kafka_access.grant(sasl_kafka.servers, sasl_kafka.properties, f"twin{uuid.uuid4().hex[:8]}", ["matched.red"])
        for _ in range(2)
    ]
    assert made[0].password != made[1].password
    with pytest.raises(KafkaException):
        shown(sasl_kafka, made[0].user, str(made[1].password))


def test_done_again_nothing_changes_and_more_can_be_granted(
    sasl_kafka: SaslKafka, there: set[str], admin: AdminClient, user: str
) -> None:
    where = sasl_kafka.servers, sasl_kafka.properties
    first = kafka_access.grant(*where, user, ["matched.red"])
    before = lists_of(admin, user)
    assert kafka_access.grant(*where, user, ["matched.red"]).password is None
    assert lists_of(admin, user) == before == set(bindings(user, ["matched.red"]))
    assert kafka_access.grant(*where, user, ["matched.blue"]).password is None
    wait(lambda: shown(sasl_kafka, user, str(first.password)) == {"matched.red", "matched.blue"})


def test_another_password_replaces_the_first(sasl_kafka: SaslKafka, there: set[str], user: str) -> None:
    where = sasl_kafka.servers, sasl_kafka.properties
    first = kafka_access.grant(*where, user, ["matched.red"])
    second = kafka_access.grant(*where, user, ["matched.red"], rotate=True)
    assert second.password not in {None, first.password}
    assert shown(sasl_kafka, user, str(second.password)) == {"matched.red"}
    with pytest.raises(KafkaException):
        shown(sasl_kafka, user, str(first.password))


def test_one_topic_is_taken_back_then_everything(sasl_kafka: SaslKafka, there: set[str], admin: AdminClient, user: str) -> None:
    where = sasl_kafka.servers, sasl_kafka.properties
    other = kafka_access.grant(*where, f"{user}.b", ["matched.red"])
    made = kafka_access.grant(*where, user, ["matched.red", "matched.blue"])
    kafka_access.revoke(*where, user, ["matched.red"])
    wait(lambda: shown(sasl_kafka, user, str(made.password)) == {"matched.blue"})
    with pytest.raises(NotFoundError, match=r"was not granted matched\.red"):
        kafka_access.revoke(*where, user, ["matched.red"])
    kafka_access.revoke(*where, user)
    assert not lists_of(admin, user)
    assert user not in users(admin)
    assert user not in {one.user for one in kafka_access.listing(*where)}
    with pytest.raises(KafkaException):
        shown(sasl_kafka, user, str(made.password))
    with pytest.raises(NotFoundError, match="nuncius access list"):
        kafka_access.revoke(*where, user)
    assert shown(sasl_kafka, f"{user}.b", str(other.password)) == {"matched.red"}


def test_one_who_is_half_made_can_be_made_or_revoked(sasl_kafka: SaslKafka, admin: AdminClient, user: str) -> None:
    where = sasl_kafka.servers, sasl_kafka.properties
    for done in admin.create_acls(bindings(user, ["matched.red"])).values():  # as where we are killed before the password
        done.result()
    assert [one.password for one in kafka_access.listing(*where) if one.user == user] == [False]
    assert kafka_access.grant(*where, user, ["matched.red"]).password is not None
    for done in admin.delete_acls([any_of(user, kind=ResourceType.TOPIC)]).values():  # or while it is revoked
        done.result()
    kafka_access.revoke(*where, user)
    assert user not in users(admin)


@pytest.mark.parametrize("name", ["", "ann-b", "Ann", ".ann", "ann b", "*", "a" * 65, "nuncius", "ann\n"])
def test_names_that_cannot_be(sasl_kafka: SaslKafka, name: str) -> None:
    with pytest.raises(UsageError, match="Kafka user"):
        kafka_access.grant(sasl_kafka.servers, sasl_kafka.properties, name, ["matched.red"])


def test_who_was_not_made_here_is_left_alone(sasl_kafka: SaslKafka, admin: AdminClient, user: str) -> None:
    where = sasl_kafka.servers, sasl_kafka.properties
    strength = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    for done in admin.alter_user_scram_credentials([UserScramCredentialUpsertion(user, strength, b"theirs")]).values():
        done.result()
    with pytest.raises(RefusedError, match="was not made here"):
        kafka_access.grant(*where, user, ["matched.red"])
    with pytest.raises(NotFoundError):
        kafka_access.revoke(*where, user)
    assert shown(sasl_kafka, user, "theirs") == set()
    stranger = f"{user}.certificate"  # one without a password, who has leave to write
    leave = (ResourceType.TOPIC, "matched.red", ResourcePatternType.LITERAL, f"User:{stranger}", "*")
    for done in admin.create_acls([AclBinding(*leave, AclOperation.WRITE, AclPermissionType.ALLOW)]).values():
        done.result()
    with pytest.raises(RefusedError, match="was not made here"):
        kafka_access.grant(*where, stranger, ["matched.red"])
    assert len(lists_of(admin, stranger)) == 1


def test_a_name_that_could_do_more_is_taken_back(sasl_kafka: SaslKafka, there: set[str], admin: AdminClient) -> None:
    # `controller` is one of super.users and has no password of this kind: whoever got one could do everything.
    with pytest.raises(RefusedError, match="without leave"):
        kafka_access.grant(sasl_kafka.servers, sasl_kafka.properties, "controller", ["matched.red"])
    assert "controller" not in users(admin)
    assert not lists_of(admin, "controller")


def test_who_we_are_ourselves_is_refused(sasl_kafka: SaslKafka) -> None:
    mine = {**sasl_kafka.properties, "sasl.username": "ourselves"}
    with pytest.raises(RefusedError, match="Nuncius itself"):
        kafka_access.grant(sasl_kafka.servers, mine, "ourselves", ["matched.red"])


def test_a_cluster_without_authorizer_is_refused(kafka_bootstrap: str, user: str) -> None:
    for ask in (
        lambda: kafka_access.grant(kafka_bootstrap, {}, user, ["matched.red"]),
        lambda: kafka_access.revoke(kafka_bootstrap, {}, user),
        lambda: kafka_access.listing(kafka_bootstrap, {}),
    ):
        with pytest.raises(UsageError, match=r"no authorizer.*authorizer\.class\.name"):
            ask()


def test_an_account_of_ours_that_may_not_says_what_it_needs(sasl_kafka: SaslKafka, there: set[str], user: str) -> None:
    made = kafka_access.grant(sasl_kafka.servers, sasl_kafka.properties, user, ["matched.red"])
    with pytest.raises(RefusedError, match="DESCRIBE and ALTER of the cluster"):
        kafka_access.grant(sasl_kafka.servers, sasl_kafka.of(user, str(made.password)), f"{user}2", ["matched.blue"])


def test_lists_for_everybody_are_no_excess() -> None:
    allow = AclPermissionType.ALLOW

    def binding(name: str, pattern: ResourcePatternType, who: str, permission: AclPermissionType = allow) -> AclBinding:
        return AclBinding(ResourceType.TOPIC, name, pattern, f"User:{who}", "*", AclOperation.READ, permission)

    literal, prefixed = ResourcePatternType.LITERAL, ResourcePatternType.PREFIXED
    found = [binding("alerts.", prefixed, "*"), binding("matched.red", literal, "ann")]
    assert covers(found, "ann", "alerts.ztf")
    assert covers(found, "ann", "matched.red")
    assert not covers(found, "ann", "matched.red.more")
    assert not covers(found, "bob", "matched.red")
    assert covers([binding("*", literal, "*")], "ann", "raw.ztf")
    assert not covers([binding("raw.ztf", literal, "ann", AclPermissionType.DENY)], "ann", "raw.ztf")
    assert ours(found) == set()
    assert ours(bindings("ann", [])) == {"ann"}
