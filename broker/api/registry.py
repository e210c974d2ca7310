"""The read side of the Confluent Schema Registry protocol: stock deserialisers pointed at us read our topics.

See <https://docs.confluent.io/platform/current/schema-registry/develop/api.html>. Errors are in that protocol's own shape.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Body, FastAPI, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from broker.api.auth import Asks
from broker.api.hidden import hidden_from
from broker.api.principal import Principal
from broker.api.services import PublishedSchema, Services
from broker.topics import matched

__all__ = ["install"]

MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"


class Fault(BaseModel):
    """An error as the protocol has it."""

    error_code: int = Field(description="The HTTP status, and two digits more", examples=[40403])
    message: str


def _described(text: str) -> dict[str, Any]:
    return {"description": text, "content": {MEDIA_TYPE: {"schema": Fault.model_json_schema()}}}


ERRORS: dict[int | str, dict[str, Any]] = {404: _described("There is no such thing"), 422: _described("It cannot be one")}


class _Answer(JSONResponse):
    media_type = MEDIA_TYPE


class RegistryError(Exception):
    """An error in the registry's own terms.

    Parameters
    ----------
    code
        Five digits, of which the first three are the HTTP status.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def _no_subject(subject: str) -> RegistryError:
    return RegistryError(40401, f"Subject '{subject}' not found.")


def _visible(services: Services, asks: Principal) -> Sequence[PublishedSchema]:
    """Those somebody may know of: the subjects of hidden filters bear their names."""
    hidden = {f"{matched(name)}-value" for name in hidden_from(services, asks).filters}
    return [schema for schema in services.schemas if schema.subject not in hidden]


def _of_subject(schemas: Sequence[PublishedSchema], subject: str) -> dict[int, PublishedSchema]:
    found = {schema.version: schema for schema in schemas if schema.subject == subject}
    if not found:
        raise _no_subject(subject)
    return found


def _version(schemas: Sequence[PublishedSchema], subject: str, version: str) -> PublishedSchema:
    known = _of_subject(schemas, subject)
    if version in {"latest", "-1"}:
        return known[max(known)]
    if not (version.isascii() and version.isdigit() and 0 < int(version[:12]) < 2**31):
        raise RegistryError(42202, f"The specified version '{version}' is not a valid version id.")
    if int(version) not in known:
        raise RegistryError(40402, f"Version {version} not found.")
    return known[int(version)]


def _by_id(schemas: Sequence[PublishedSchema], schema_id: int) -> list[PublishedSchema]:
    found = [schema for schema in schemas if schema.id == schema_id]
    if not found:
        raise RegistryError(40403, f"Schema {schema_id} not found")
    return found


def _text(schema: PublishedSchema) -> dict[str, Any]:
    kind = {} if schema.type == "AVRO" else {"schemaType": schema.type}
    return {"schema": schema.schema, **kind}


def _full(schema: PublishedSchema) -> dict[str, Any]:
    return {"subject": schema.subject, "version": schema.version, "id": schema.id, **_text(schema)}


def _same(one: str, other: str) -> bool:
    try:
        return one == other or json.loads(one) == json.loads(other)
    except (ValueError, RecursionError):
        return False


def _by_number(services: Services) -> APIRouter:
    """What a reader asks: the schema of the number in front of its message."""
    routes = APIRouter(tags=["schema registry"], default_response_class=_Answer, responses=ERRORS)

    @routes.get("/schemas/types")
    def types() -> list[str]:
        """Kinds of schemas there can be."""
        return ["JSON", "AVRO"]

    @routes.get("/schemas/ids/{schema_id}")
    def by_id(schema_id: int, asks: Asks) -> dict[str, Any]:
        """A schema by its number."""
        return _text(_by_id(_visible(services, asks), schema_id)[0])

    @routes.get("/schemas/ids/{schema_id}/versions")
    def versions_of_id(schema_id: int, asks: Asks) -> list[dict[str, Any]]:
        """Subjects and versions a number stands for."""
        return [
            {"subject": schema.subject, "version": schema.version} for schema in _by_id(_visible(services, asks), schema_id)
        ]

    @routes.get("/schemas/ids/{schema_id}/subjects")
    def subjects_of_id(schema_id: int, asks: Asks) -> list[str]:
        """Subjects a number stands for."""
        return sorted({schema.subject for schema in _by_id(_visible(services, asks), schema_id)})

    @routes.get("/config")
    def config() -> dict[str, str]:
        """What a new version of a schema keeps: whoever reads the new can read the old."""
        return {"compatibilityLevel": "BACKWARD"}

    @routes.get("/mode")
    def mode() -> dict[str, str]:
        """Whether schemas can be written here: they cannot."""
        return {"mode": "READONLY"}

    return routes


def _by_subject(services: Services) -> APIRouter:
    """What people and tools ask: which schemas there are, and their versions."""
    routes = APIRouter(tags=["schema registry"], default_response_class=_Answer, responses=ERRORS)

    @routes.get("/subjects")
    def subjects(
        asks: Asks,
        prefix: Annotated[str, Query(alias="subjectPrefix", description="What the subject begins with")] = ":*:",
    ) -> list[str]:
        """All subjects."""
        start = "" if prefix == ":*:" else prefix
        return sorted({schema.subject for schema in _visible(services, asks) if schema.subject.startswith(start)})

    @routes.get("/subjects/{subject}/versions")
    def versions(subject: str, asks: Asks) -> list[int]:
        """Versions of a subject."""
        return sorted(_of_subject(_visible(services, asks), subject))

    @routes.get("/subjects/{subject}/versions/{version}")
    def version(subject: str, version: str, asks: Asks) -> dict[str, Any]:
        """One version of a subject; `latest` is the newest."""
        return _full(_version(_visible(services, asks), subject, version))

    @routes.get("/subjects/{subject}/versions/{version}/schema")
    def bare(subject: str, version: str, asks: Asks) -> Any:
        """The schema itself, as JSON."""
        return json.loads(_version(_visible(services, asks), subject, version).schema)

    @routes.post("/subjects/{subject}")
    def lookup(
        subject: str, asks: Asks, body: Annotated[dict[str, Any], Body(examples=[{"schema": '"string"'}])]
    ) -> dict[str, Any]:
        """Whether a subject has this very schema, and under which number."""
        known = _of_subject(_visible(services, asks), subject)
        wanted = body.get("schema")
        if not isinstance(wanted, str):
            raise RegistryError(42201, "Invalid schema: the body has no 'schema' text.")
        for schema in known.values():
            if _same(schema.schema, wanted):
                return _full(schema)
        raise RegistryError(40403, "Schema not found")

    return routes


def _on_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RegistryError)
    return _Answer({"error_code": error.code, "message": str(error)}, error.code // 100)


def install(app: FastAPI, services: Services) -> None:
    """Serve the protocol at the root, where clients given our address look, and under ``/registry``."""
    for routes in (_by_number(services), _by_subject(services)):
        app.include_router(routes, prefix="/registry")
        app.include_router(routes, include_in_schema=False)
    app.add_exception_handler(RegistryError, _on_error)
