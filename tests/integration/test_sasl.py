"""A Kafka that asks for passwords: our whole path runs on it, and subscribers read what they may and nothing else."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
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

from broker.simulate import ztf
from consumers import ClientError, subscribe
from tests import services
from tests.running import Installation, install, wait_for
from tests.services import SaslKafka, free_port
from tests.subscribers import SECRET, receiver

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(400)]

COUNT = 600
REFUSED = {"TOPIC_AUTHORIZATION_FAILED", "GROUP_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED"}


@dataclass(frozen=True)
class Site:
    """Nuncius on such a cluster, with a night worked off."""

    cluster: SaslKafka
    nuncius: Installation
    mine: str  # the filter that picked most
    picked: int
    other: str  # and the next
    others: int
    api: int
    upstream: str


@dataclass(frozen=True)
class Subscriber:
    user: str
    config: dict[str, Any]  # as `subscribe` takes it
    client: dict[str, Any]  # as confluent-kafka does


def operator(cluster: SaslKafka, group: str) -> dict[str, object]:
    """An account for Nuncius itself that may do what docs/operations.md says it needs, and no more."""
    user, password = f"broker_{uuid.uuid4().hex[:8]}", uuid.uuid4().hex
    admin = AdminClient(cluster.client())
    strength = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    for made in admin.alter_user_scram_credentials([UserScramCredentialUpsertion(user, strength, password.encode())]).values():
        made.result()
    literal, prefixed = ResourcePatternType.LITERAL, ResourcePatternType.PREFIXED
    read, write, create, describe = (getattr(AclOperation, name) for name in ("READ", "WRITE", "CREATE", "DESCRIBE"))
    needed = [
        *((ResourceType.TOPIC, name, prefixed, (read, write, create, describe)) for name in ("raw.", "alerts.", "matched.")),
        *(
            (ResourceType.TOPIC, name, literal, (read, write, create, describe))
            for name in ("events", "test.events", "coincidences", "dead-letter")
        ),
        (ResourceType.GROUP, "nuncius", prefixed, (read, describe)),
        (ResourceType.GROUP, group, literal, (read, describe)),
        (ResourceType.TRANSACTIONAL_ID, f"{socket.gethostname()}-", prefixed, (write, describe)),
        (ResourceType.BROKER, "kafka-cluster", literal, (AclOperation.ALTER, describe)),
    ]
    lists = [
        AclBinding(kind, name, pattern, f"User:{user}", "*", operation, AclPermissionType.ALLOW)
        for kind, name, pattern, operations in needed
        for operation in operations
    ]
    for made in admin.create_acls(lists).values():
        made.result()
    return cluster.of(user, password)


def upstream(cluster: SaslKafka, values: list[bytes]) -> str:
    topic = f"survey_{uuid.uuid4().hex[:8]}"
    admin = AdminClient(cluster.client())
    for made in admin.create_topics([NewTopic(topic, 2, 1)]).values():
        made.result()
    produce(cluster, topic, values)
    return topic


def produce(cluster: SaslKafka, topic: str, values: list[bytes]) -> None:
    producer = Producer(cluster.client())
    for value in values:
        producer.produce(topic, value)
        producer.poll(0)
    assert producer.flush(30) == 0


@pytest.fixture(scope="module")
def site(sasl_kafka: SaslKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    packets = ztf.packets(11, COUNT, datetime.now(UTC) - timedelta(hours=1), cutouts=False, history=5)
    topic = upstream(sasl_kafka, [*(packet.data for packet in packets), b"Obj\x01 cut"])
    login = {key: sasl_kafka.properties[f"sasl.{key}"] for key in ("username", "password")}
    source = (
        f'[ingest.ztf]\nkind = "kafka"\nstream = "ztf"\nbootstrap_servers = "{sasl_kafka.servers}"\ntopics = ["{topic}"]\n'
        f'username = "{login["username"]}"\npassword = "{login["password"]}"\n'
        f'properties = {{ "security.protocol" = "SASL_PLAINTEXT" }}\n'
    )
    port = free_port()
    more = f'{source}\n[serve]\nport = {port}\n[deliver]\nallow = ["127.0.0.0/8"]\n'
    data = tmp_path_factory.mktemp("sasl-site") / "data"
    nuncius = install(data, kafka=sasl_kafka.servers, more=more)
    group = next(line.split('"')[1] for line in nuncius.config.read_text().splitlines() if line.startswith("group = "))
    text = nuncius.config.read_text()
    lines = "".join(f"{json.dumps(key)} = {json.dumps(value)}\n" for key, value in operator(sasl_kafka, group).items())
    nuncius.config.write_text(text.replace("[log.properties]\n", f"[log.properties]\n{lines}"))
    with nuncius.running("ingest"), nuncius.running("process"), nuncius.running("serve"):
        wait_for(lambda: nuncius.json("status", "--json")["ledger"]["total"]["received"] == COUNT + 1, 120, "not all in")
        status = nuncius.json("status", "--json")
        counts = status["ledger"]["total"]
        assert (counts["published"], counts["rejected"]) == (COUNT, 1)
        assert status["faults"] == []
        picked = sorted(status["matches"].items(), key=lambda item: -item[1])
        assert len(picked) > 1, "two filters are needed that pick something of a simulated night"
        yield Site(sasl_kafka, nuncius, *picked[0], *picked[1], port, topic)


@pytest.fixture(scope="module")
def ann(site: Site) -> Subscriber:
    return granted(site, f"ann_{uuid.uuid4().hex[:8]}", site.mine)


def granted(site: Site, user: str, *filters: str) -> Subscriber:
    """Somebody as the command line makes them."""
    told = site.nuncius.json("access", "grant", user, *filters, "--json")
    config = {key: value for key, value in told["properties"].items() if key != "bootstrap.servers"}
    config["sasl.password"] = told["password"]
    assert told["properties"]["bootstrap.servers"] == site.cluster.servers
    return Subscriber(user, config, {**config, "bootstrap.servers": site.cluster.servers, "log_level": 0})


def read(client: dict[str, Any], group: str, topic: str) -> tuple[int, set[str]]:
    """Records until every partition has ended, or until something is refused: how many, and what was."""
    consumer = Consumer(
        {
            **client,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
        }
    )
    count, denied, ended = 0, set[str](), set[int]()
    consumer.subscribe([topic])
    deadline = time.monotonic() + 60
    while len(ended) < 2 and not denied:
        assert time.monotonic() < deadline, f"neither read nor refused: {topic} as {group}"
        message = consumer.poll(0.5)
        if message is None:
            continue
        error = message.error()
        if error is None:
            count += 1
        elif error.code() == KafkaError._PARTITION_EOF:
            ended.add(message.partition())
        elif error.name() in REFUSED:
            denied.add(error.name())
    if count:
        consumer.commit(asynchronous=False)
    consumer.close()
    return count, denied


def refused(says: str, topic: str, servers: str, **more: Any) -> None:
    """Our client ends with an error that says so."""
    with pytest.raises(ClientError, match=says), subscribe(topic, servers, start_at="earliest", **more) as stream:
        stream.poll(60)


def test_a_subscriber_reads_their_filter(site: Site, ann: Subscriber) -> None:
    topic = f"matched.{site.mine}"
    assert read(ann.client, f"{ann.user}-night", topic) == (site.picked, set())
    now = datetime.now(UTC)
    with subscribe(site.mine, site.cluster.servers, start_at="earliest", until=now, config=ann.config, timeout=30) as stream:
        lone = [alert.alert_id for alert in stream]
    assert len(set(lone)) == len(lone) == site.picked
    group = f"{ann.user}-telescope"
    with subscribe(site.mine, site.cluster.servers, group=group, start_at="earliest", config=ann.config, timeout=30) as stream:
        for number, alert in enumerate(stream, 1):
            alert.commit()
            if number == site.picked:
                break
    assert read(ann.client, group, topic) == (0, set())  # the group has committed all of it


def test_by_pattern_they_get_theirs(site: Site, ann: Subscriber) -> None:
    now = datetime.now(UTC)
    with subscribe("^matched[.].+", site.cluster.servers, start_at="earliest", until=now, config=ann.config) as stream:
        assert {alert.topic for alert in stream} == {f"matched.{site.mine}"}


def kcat_environment() -> dict[str, str]:
    """Where kcat's own librdkafka is older than 2.6.1, which Kafka 4 refuses (librdkafka #4895), our wheel's before it."""
    if shutil.which("kcat") is None:
        services.missing("kcat is not here")
    told = subprocess.run(["kcat", "-V"], capture_output=True, check=True).stdout.decode()
    version = re.search(r"librdkafka (\d+)\.(\d+)\.(\d+)", told)
    assert version is not None
    if tuple(map(int, version.groups())) >= (2, 6, 1):
        return {**os.environ}
    folder = Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
    newer = next(folder.glob("librdkafka*.so*"), None)
    if newer is None:
        services.missing(f"kcat has librdkafka {version[0]}, which cannot log in with SCRAM at Kafka 4")
    return {**os.environ, "LD_PRELOAD": str(newer)}


def test_kcat_reads_it(site: Site, ann: Subscriber, tmp_path: Path) -> None:
    environment = kcat_environment()
    file = tmp_path / "kafka.properties"
    file.write_text("".join(f"{key}={value}\n" for key, value in ann.client.items() if key != "log_level"))

    def kcat(*more: str) -> subprocess.CompletedProcess[bytes]:
        command = ["kcat", "-F", str(file), "-q", "-e", "-X", "isolation.level=read_committed", *more]
        return subprocess.run(command, capture_output=True, timeout=60, check=False, env=environment)

    topic = f"matched.{site.mine}"
    assert kcat("-C", "-t", topic, "-o", "beginning", "-f", "%t\n").stdout.decode().split() == [topic] * site.picked
    group = kcat("-X", "auto.offset.reset=earliest", "-f", "%t\n", "-G", f"{ann.user}-kcat", topic)
    assert group.stdout.decode().split() == [topic] * site.picked
    other = kcat("-C", "-t", f"matched.{site.other}")
    assert other.returncode == 1
    assert b"Topic authorization failed" in other.stderr


FORBIDDEN = ["other", "alerts.ztf", "raw.ztf", "dead-letter", "__consumer_offsets", "matched.", "no.where"]


@pytest.mark.parametrize("topic", FORBIDDEN)
def test_no_other_topic(site: Site, ann: Subscriber, topic: str) -> None:
    topic = f"matched.{site.other}" if topic == "other" else topic
    assert read(ann.client, f"{ann.user}-x", topic) == (0, {"TOPIC_AUTHORIZATION_FAILED"})


def test_no_other_topic_without_asking_for_it(site: Site, ann: Subscriber) -> None:
    """Partitions named outright, beside one that may be read and shows that there was time enough."""
    names = [f"matched.{site.other}" if name == "other" else name for name in FORBIDDEN]
    consumer = Consumer({**ann.client, "group.id": f"{ann.user}-direct", "enable.auto.commit": False})
    for name in names:
        told = consumer.list_topics(name, 10).topics[name].error
        assert told is not None
        assert told.name() == "TOPIC_AUTHORIZATION_FAILED"
        with pytest.raises(KafkaException):
            consumer.get_watermark_offsets(TopicPartition(name, 0), 5)
    consumer.assign([TopicPartition(name, number, 0) for name in [*names, f"matched.{site.mine}"] for number in range(2)])
    came: list[str] = []
    deadline = time.monotonic() + 60
    while len(came) < site.picked:
        assert time.monotonic() < deadline
        came += [str(message.topic()) for message in consumer.consume(100, 0.5) if message.error() is None]
    came += [str(message.topic()) for message in consumer.consume(100, 3) if message.error() is None]
    consumer.close()
    assert came == [f"matched.{site.mine}"] * site.picked


@pytest.mark.parametrize("group", [None, "night"])
@pytest.mark.parametrize("topic", ["other", "alerts.ztf", "raw.ztf", "dead-letter"])
def test_no_other_topic_for_our_client(site: Site, ann: Subscriber, topic: str, group: str | None) -> None:
    topic = f"matched.{site.other}" if topic == "other" else topic
    mine = group and f"{ann.user}-{group}"
    refused(f"does not let {ann.user} read {topic}", topic, site.cluster.servers, group=mine, config=ann.config, timeout=60)


def test_they_are_shown_nothing_else(site: Site, ann: Subscriber) -> None:
    everything = set(AdminClient(site.cluster.client()).list_topics(timeout=10).topics)
    assert {"alerts.ztf", "raw.ztf", "dead-letter", f"matched.{site.other}"} <= everything
    assert set(AdminClient(ann.client).list_topics(timeout=10).topics) == {f"matched.{site.mine}"}


def test_no_group_of_others(site: Site, ann: Subscriber) -> None:
    near = granted(site, f"{ann.user}.b", site.mine)
    topic = f"matched.{site.mine}"
    assert read(near.client, f"{near.user}-night", topic) == (site.picked, set())
    for group in (f"{near.user}-night", f"{ann.user}", f"{ann.user}x-1", "nuncius-process", "somebody"):
        assert read(ann.client, group, topic) == (0, {"GROUP_AUTHORIZATION_FAILED"}), group
        refused("Group authorization failed", site.mine, site.cluster.servers, group=group, config=ann.config, timeout=60)
    intruder = Consumer({**ann.client, "group.id": f"{near.user}-night"})
    with pytest.raises(KafkaException):
        intruder.committed([TopicPartition(topic, 0)], 5)
    intruder.close()
    assert read(near.client, f"{near.user}-night", topic) == (0, set())  # where they were is as it was


@pytest.mark.parametrize("topic", ["mine", "other", "raw.ztf", "new.one"])
def test_no_writing(site: Site, ann: Subscriber, topic: str) -> None:
    topic = {"mine": f"matched.{site.mine}", "other": f"matched.{site.other}"}.get(topic, topic)
    told: list[str] = []
    producer = Producer({**ann.client, "message.timeout.ms": 20_000})
    producer.produce(topic, b"mine", on_delivery=lambda error, _: told.append(error.name() if error else "written"))
    assert producer.flush(30) == 0
    assert told == ["TOPIC_AUTHORIZATION_FAILED"]


def test_no_transaction(ann: Subscriber) -> None:
    producer = Producer({**ann.client, "transactional.id": f"{ann.user}-1"})
    with pytest.raises(KafkaException) as refused:
        producer.init_transactions(20)
    assert refused.value.args[0].name() == "TRANSACTIONAL_ID_AUTHORIZATION_FAILED"


def test_no_creating_no_deleting_no_granting(site: Site, ann: Subscriber) -> None:
    admin = AdminClient(ann.client)
    mine = f"matched.{site.mine}"
    strength = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    leave = (ResourceType.TOPIC, "raw.ztf", ResourcePatternType.LITERAL, f"User:{ann.user}", "*")
    asked: dict[str, Callable[[], Any]] = {
        "create": lambda: admin.create_topics([NewTopic("matched.hers", 1, 1)]),
        "delete": lambda: admin.delete_topics([mine]),
        "grant": lambda: admin.create_acls([AclBinding(*leave, AclOperation.READ, AclPermissionType.ALLOW)]),
        "password": lambda: admin.alter_user_scram_credentials(
            [UserScramCredentialUpsertion(site.cluster.properties["sasl.username"], strength, b"hers")]
        ),
    }
    for what, ask in asked.items():
        for future in ask().values():
            with pytest.raises(KafkaException) as refused:
                future.result(20)
            assert refused.value.args[0].name() in REFUSED, what
    assert "matched.hers" not in AdminClient(site.cluster.client()).list_topics(timeout=10).topics


@pytest.mark.parametrize("group", [None, "night"])
def test_a_wrong_password_is_refused(site: Site, ann: Subscriber, group: str | None) -> None:
    wrong = {**ann.config, "sasl.password": "guessed"}
    mine = group and f"{ann.user}-{group}"  # no timeout: it ends by itself
    refused("Authentication failed", site.mine, site.cluster.servers, group=mine, config=wrong)
    with pytest.raises(KafkaException):
        AdminClient({**ann.client, "sasl.password": "guessed"}).list_topics(timeout=5)
    without = {key: value for key, value in ann.client.items() if not key.startswith(("sasl.", "security."))}
    with pytest.raises(KafkaException):
        AdminClient(without).list_topics(timeout=5)


def test_who_is_revoked_reads_no_more_at_once(site: Site) -> None:
    bob = granted(site, f"bob_{uuid.uuid4().hex[:8]}", site.other)
    came: list[str] = []
    ended: list[ClientError] = []
    all_there = threading.Event()

    def follow() -> None:
        try:
            with subscribe(site.other, site.cluster.servers, start_at="earliest", config=bob.config) as stream:
                for alert in stream:
                    came.append(alert.alert_id)
                    if len(came) == site.others:
                        all_there.set()
        except ClientError as error:
            ended.append(error)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    assert all_there.wait(60)
    assert bob.user in {one["user"] for one in site.nuncius.json("access", "list", "--json")}
    site.nuncius.run("access", "revoke", bob.user)
    writer = Producer(site.cluster.client())
    writer.produce(f"matched.{site.other}", b"not for him", partition=0)
    assert writer.flush(30) == 0
    thread.join(60)
    assert not thread.is_alive()
    assert len(came) == site.others
    assert re.search(r"does not let|[Aa]uthorization failed", str(ended[0]))
    with pytest.raises(KafkaException):
        AdminClient(bob.client).list_topics(timeout=5)
    assert bob.user not in {one["user"] for one in site.nuncius.json("access", "list", "--json")}


def test_live_readers_of_the_api(site: Site) -> None:
    address = f"http://127.0.0.1:{site.api}"
    with subscribe(site.mine, address, start_at="earliest", until=datetime.now(UTC), timeout=30) as stream:
        assert len([alert for alert in stream if alert.alert_id]) >= site.picked


def test_the_passwords_of_the_settings_are_starred(site: Site) -> None:
    shown = site.nuncius.json("config", "show")
    assert shown["log"]["properties"]["sasl.password"] == "*" * 10
    assert shown["log"]["properties"]["sasl.username"].startswith("broker_")


def test_a_subscription_lets_its_user_read_what_it_names(site: Site) -> None:
    user = f"eve_{uuid.uuid4().hex[:8]}"
    made = site.nuncius.json("subscribe", site.mine, "--kafka", user, "--json")
    client = {**site.cluster.of(user, made["password"]), "bootstrap.servers": site.cluster.servers, "log_level": 0}
    assert read(client, f"{user}-night", f"matched.{site.mine}") == (site.picked, set())
    assert read(client, f"{user}-night", f"matched.{site.other}") == (0, {"TOPIC_AUTHORIZATION_FAILED"})
    site.nuncius.run("subscriptions", "remove", made["id"])
    with pytest.raises(KafkaException):
        AdminClient(client).list_topics(timeout=5)


def test_webhooks_are_sent_from_it(site: Site) -> None:
    """Last, as there are more matches after it."""
    more = ztf.packets(12, COUNT, datetime.now(UTC) - timedelta(minutes=30), cutouts=False, history=5)
    with receiver() as here, site.nuncius.running("deliver"):
        made = site.nuncius.json("subscribe", site.mine, "--webhook", here.url(), "--secret", SECRET, "--json")
        produce(site.cluster, site.upstream, [packet.data for packet in more])
        wait_for(
            lambda: site.nuncius.json("status", "--json")["ledger"]["total"]["received"] == 2 * COUNT + 1, 120, "not all in"
        )
        picked = site.nuncius.json("status", "--json")["matches"][site.mine] - site.picked
        assert picked
        wait_for(lambda: len(set(here.ids())) >= picked, 60, "not all delivered")
        assert len(set(here.ids())) == picked
        assert not here.forged
        site.nuncius.run("subscriptions", "remove", made["id"])
