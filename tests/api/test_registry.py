"""The registry protocol, asked by Confluent's own client and deserialiser."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext

from tests.api.world import BIG, SCHEMAS, World, survey_alert


@pytest.fixture(params=["", "/registry"])
def registry(url: str, request: pytest.FixtureRequest) -> Iterator[SchemaRegistryClient]:
    with SchemaRegistryClient({"url": url + request.param}) as made:
        yield made


def test_a_stock_deserialiser_reads_our_messages(registry: SchemaRegistryClient, here: World) -> None:
    row = survey_alert(6)
    message = here.message(row, "bright-transient")
    read = AvroDeserializer(registry)
    alert = read(message.value, SerializationContext(message.topic, MessageField.VALUE))
    assert alert["alert_id"] == f"ztf:{BIG + 6}"
    assert alert["time"] == row["time"]
    assert alert["ra"] == row["ra"]
    assert alert["annotations"]["candidate.candid"] == BIG + 6


def test_subjects_versions_and_look_up(registry: SchemaRegistryClient) -> None:
    assert registry.get_subjects() == ["nuncius.alert", "nuncius.problem"]
    assert registry.get_versions("nuncius.alert") == [1, 2]
    latest = registry.get_latest_version("nuncius.alert")
    assert (latest.schema_id, latest.version) == (8, 2)
    assert registry.get_version("nuncius.alert", 1).schema_id == 7
    found = registry.lookup_schema("nuncius.alert", Schema(SCHEMAS[0].schema, "AVRO"))
    assert (found.schema_id, found.version) == (7, 1)
    assert registry.get_schema(9).schema_type == "JSON"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/schemas/ids/404", 40403),
        ("/schemas/ids/404/versions", 40403),
        ("/subjects/nobody/versions", 40401),
        ("/subjects/nobody/versions/latest", 40401),
        ("/subjects/nuncius.alert/versions/99", 40402),
        ("/subjects/nuncius.alert/versions/zero", 42202),
    ],
)
def test_errors_are_in_the_protocols_own_shape(client: httpx.Client, path: str, code: int) -> None:
    answer = client.get(path)
    assert answer.status_code == code // 100
    assert answer.headers["content-type"] == "application/vnd.schemaregistry.v1+json"
    assert answer.json()["error_code"] == code


def test_a_missing_subject_is_an_error_to_the_client(registry: SchemaRegistryClient) -> None:
    with pytest.raises(SchemaRegistryError) as raised:
        registry.get_latest_version("nobody")
    assert raised.value.error_code == 40401


def test_a_schema_we_do_not_have(client: httpx.Client) -> None:
    answer = client.post("/subjects/nuncius.alert", json={"schema": '"string"'})
    assert answer.json()["error_code"] == 40403
    assert client.post("/subjects/nobody", json={"schema": '"string"'}).json()["error_code"] == 40401


def test_a_schema_nested_without_end(client: httpx.Client) -> None:
    answer = client.post("/subjects/nuncius.alert", json={"schema": "[" * 50_000})
    assert (answer.status_code, answer.json()["error_code"]) == (404, 40403)


def test_the_small_questions(client: httpx.Client) -> None:
    assert set(client.get("/schemas/types").json()) == {"AVRO", "JSON"}
    assert client.get("/config").json() == {"compatibilityLevel": "BACKWARD"}
    assert client.get("/schemas/ids/7/versions").json() == [{"subject": "nuncius.alert", "version": 1}]
    assert client.get("/subjects/nuncius.alert/versions/1/schema").json()["name"] == "alert"
