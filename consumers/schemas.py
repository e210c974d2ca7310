"""Schemas records are written with: from a registry, handed in, or those that come with the client."""

from __future__ import annotations

import io
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fastavro
import httpx

from consumers.errors import BadRecordError, SchemaError, UnavailableError

__all__ = ["SchemaBook"]


def _shipped() -> Path:
    """Folder of our own schemas: inside the package when installed, beside it in a checkout."""
    here = Path(__file__).parent
    return here / "schemas" if (here / "schemas").is_dir() else here.parent / "schemas"


class SchemaBook:
    """Reads records in the Confluent wire format, looking each schema up once.

    Parameters
    ----------
    registry
        Address of a Confluent-style schema registry, such as ``http://host:8000/registry`` of a Nuncius API. Without one the
        schemas that come with the client are used.
    schema
        Writer's schema as JSON has it, used whatever the id says.
    """

    def __init__(self, registry: str | None = None, schema: Mapping[str, Any] | None = None) -> None:
        self._registry = registry.rstrip("/") if registry else None
        self._one = fastavro.parse_schema(dict(schema)) if schema is not None else None
        self._known: dict[int, Any] = {}

    def read(self, value: bytes) -> dict[str, Any]:
        """Record of a framed value.

        Raises
        ------
        BadRecordError
            The bytes are not what they should be; as `SchemaError` where it is the schema that is missing.
        UnavailableError
            The registry does not answer: try again.
        """
        if len(value) < 5 or value[0] != 0:
            raise BadRecordError("not in the Confluent wire format (a zero byte and a schema id): not a record of Nuncius")
        schema = self._one or self._find(int.from_bytes(value[1:5], "big"))
        stream = io.BytesIO(value[5:])
        try:
            record = fastavro.schemaless_reader(stream, schema, None)
        except Exception as error:  # whatever fastavro's parser stumbles over: EOFError, IndexError, ...
            raise BadRecordError(f"not an Avro record of its schema: {type(error).__name__} {error}") from error
        if stream.read(1):
            raise BadRecordError("bytes are left after the record: it was written with another schema")
        if not isinstance(record, dict):
            raise BadRecordError("the schema describes no record")
        return record

    def _find(self, number: int) -> Any:
        if number not in self._known:
            text = self._ask(number) if self._registry else _listed(number)
            self._known[number] = fastavro.parse_schema(json.loads(text))
        return self._known[number]

    def _ask(self, number: int) -> str:
        address = f"{self._registry}/schemas/ids/{number}"
        try:
            answer = httpx.get(address, timeout=10.0, follow_redirects=True)
        except httpx.HTTPError as error:
            raise UnavailableError(f"schema registry does not answer at {address}: {error}") from error
        if answer.status_code >= 500:
            raise UnavailableError(f"schema registry answers {answer.status_code} at {address}")
        try:
            text = answer.raise_for_status().json()["schema"]
        except (httpx.HTTPStatusError, ValueError, KeyError) as error:
            raise SchemaError(f"schema {number} is not to be had at {address}: {error}") from error
        return str(text)


def _listed(number: int) -> str:
    folder = _shipped()
    try:
        listed = tomllib.loads((folder / "ids.toml").read_text("utf-8"))["schema"]
        name = next(str(entry["file"]) for entry in listed if entry["id"] == number)
        return (folder / name).read_text("utf-8")
    except (OSError, StopIteration, KeyError) as error:
        raise SchemaError(
            f"schema {number} did not come with this client: give subscribe a registry or upgrade nuncius"
        ) from error
