"""Whatever the OpenAPI document allows, and much that it does not, is answered as it says and never with a 500."""

from __future__ import annotations

from urllib.parse import quote

import httpx
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import checks

from broker.api.app import create_app
from tests.api.world import BIG, IVORN, World

LIVE = "/api/v1/live"  # never ends; tested by itself


CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
BOUNDED = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def test_every_operation(url: str) -> None:
    document = schemathesis.openapi.from_url(f"{url}/api/v1/openapi.json").exclude(path=LIVE)
    operations = [found.ok() for found in document.get_all_operations()]
    assert len(operations) > 20
    for operation in operations:

        @BOUNDED
        @given(case=operation.as_strategy())
        def ask(case: schemathesis.Case) -> None:
            case.call_and_validate(checks=CHECKS)

        ask()


def test_the_document_has_examples_and_tags_throughout(here: World) -> None:
    document = create_app(here.services).openapi()
    tags = {tag["name"] for tag in document["tags"]}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert set(operation["tags"]) <= tags, path
            assert operation.get("description"), path
            assert "HTTPValidationError" not in str(operation["responses"]), path
    assert "/api/v1/alerts/{alert_id}" in document["paths"]


def test_answers_fit_their_schema_for_known_things(url: str) -> None:
    document = schemathesis.openapi.from_url(f"{url}/api/v1/openapi.json")
    asked = [
        ("/api/v1/alerts/{alert_id}", {"alert_id": f"ztf:{BIG + 8}"}),
        ("/api/v1/alerts/{alert_id}", {"alert_id": IVORN}),
        ("/api/v1/objects/{object_id}", {"object_id": "ZTF24aa00001"}),
        ("/api/v1/objects/{object_id}/lightcurve", {"object_id": "ZTF24aa00001"}),
        ("/api/v1/events/{name}", {"name": "GRB240422A"}),
        ("/api/v1/events/{name}/region", {"name": "S240422ed"}),
        ("/api/v1/filters/{name}", {"name": "bright-transient"}),
    ]
    for path, parameters in asked:
        encoded = {name: quote(value, safe="") for name, value in parameters.items()}
        answer = document[path]["GET"].Case(path_parameters=encoded).call_and_validate()
        assert answer.status_code == 200, path


def test_the_document_is_served(client: httpx.Client) -> None:
    assert client.get("/api/v1/openapi.json").json()["openapi"].startswith("3.1")
