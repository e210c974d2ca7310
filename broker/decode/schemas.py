"""Where the schemas of packets that do not carry their own come from."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import httpx
from fastavro.schema import fingerprint, to_parsing_canonical_form

from broker.errors import SchemaUnavailableError, TransientError

__all__ = ["Chain", "LsstPackage", "RegistrySource", "SchemaSource", "fingerprint_of"]

Schema = Any
"""Parsed JSON of an Avro schema."""

Seen = Callable[[str, Schema, str, str], None]
"""Told of a new schema: stream, schema, how it was come by, and its fingerprint."""


class SchemaSource(Protocol):
    """Finds writer schemas."""

    def by_id(self, stream: str, schema_id: int) -> Schema:
        """Schema of a Confluent id.

        Raises
        ------
        SchemaUnavailableError
            There is none of that id.
        TransientError
            Whoever knows it cannot be reached.
        """

    def candidates(self, stream: str) -> Sequence[Schema]:
        """Schemas a record without framing may have been written with, likeliest first."""

    def seen(self, stream: str, schema: Schema, how: str) -> None:
        """Told of every schema met, once a batch or so."""


def fingerprint_of(schema: Schema) -> str:
    """Avro's 64-bit Rabin fingerprint of a schema's canonical form, in hex; of its text where it has no canonical form."""
    try:
        text = to_parsing_canonical_form(schema)
    except Exception:  # noqa: BLE001 - fastavro refuses schemas we can read, with whatever error it trips over
        text = json.dumps(schema, sort_keys=True)
    return str(fingerprint(text, "CRC-64-AVRO"))


class LsstPackage:
    """Schemas of LSST, from the installed ``lsst-alert-packet``; nothing of its code is imported.

    A schema id is major * 100 + minor.

    Parameters
    ----------
    stream
        Name of LSST's stream.
    folder
        Folder with ``<major>/<minor>/lsst.v<major>_<minor>.*.avsc``; the package's own by default.
    """

    def __init__(self, stream: str = "lsst", folder: Path | None = None) -> None:
        self.stream = stream
        self._folder = folder
        self._parsed: dict[int, Schema] = {}

    @cached_property
    def versions(self) -> dict[int, Path]:
        """Folder of each version, by schema id, newest first."""
        root = self._folder or _package_folder()
        found = {
            int(folder.parent.name) * 100 + int(folder.name): folder
            for folder in (root.glob("*/*") if root else ())
            if folder.name.isdigit() and folder.parent.name.isdigit()
        }
        return dict(sorted(found.items(), reverse=True))

    def by_id(self, stream: str, schema_id: int) -> Schema:
        """See `SchemaSource`."""
        folder = self.versions.get(schema_id) if stream == self.stream else None
        if folder is None:
            raise SchemaUnavailableError(
                f"schema {schema_id} of stream {stream} cannot be had: lsst-alert-packet has no version {_version(schema_id)}; "
                "update it, or name a schema registry that has it"
            )
        if schema_id not in self._parsed:
            self._parsed[schema_id] = _assemble(folder)
        return self._parsed[schema_id]

    def candidates(self, stream: str) -> Sequence[Schema]:
        """Every version, newest first."""
        return [self.by_id(stream, number) for number in self.versions] if stream == self.stream else []

    def seen(self, stream: str, schema: Schema, how: str) -> None:
        """Nothing to do: the package keeps its schemas."""


class RegistrySource:
    """Schemas of a Confluent Schema Registry, over its REST interface; what was had once is not asked for again.

    Parameters
    ----------
    url
        Of the registry, such as ``https://registry.example.org``.
    auth
        User and password.
    streams
        Streams it serves; all if empty.
    timeout
        Seconds to wait for an answer.
    """

    def __init__(
        self, url: str, auth: tuple[str, str] | None = None, *, streams: frozenset[str] = frozenset(), timeout: float = 10.0
    ) -> None:
        self.url = url.rstrip("/")
        self._auth = auth
        self._streams = streams
        self._timeout = timeout
        self._known: dict[int, Schema] = {}

    def by_id(self, stream: str, schema_id: int) -> Schema:
        """See `SchemaSource`."""
        if self._streams and stream not in self._streams:
            raise SchemaUnavailableError(
                f"schema {schema_id} of stream {stream} cannot be had: no registry is set for the stream"
            )
        if schema_id not in self._known:
            self._known[schema_id] = self._fetch(stream, schema_id)
        return self._known[schema_id]

    def _fetch(self, stream: str, schema_id: int) -> Schema:
        cannot = f"schema {schema_id} of stream {stream} cannot be had"
        try:
            answer = httpx.get(f"{self.url}/schemas/ids/{schema_id}", auth=self._auth, timeout=self._timeout)
        except httpx.HTTPError as error:
            raise TransientError(f"{cannot}: the registry at {self.url} cannot be reached: {error}") from error
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise SchemaUnavailableError(f"{cannot}: the registry at {self.url} does not have it")
        if answer.status_code != httpx.codes.OK:
            # Overload, expired credentials, a proxy's page: the schema may well exist, so the packet is not given up.
            raise TransientError(
                f"{cannot}: the registry at {self.url} answered {answer.status_code}; check its address and login"
            )
        try:
            body = answer.json()
            if body.get("schemaType", "AVRO") != "AVRO":
                raise SchemaUnavailableError(f"{cannot}: the registry at {self.url} has it as {body['schemaType']}, not Avro")
            return json.loads(body["schema"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise TransientError(f"{cannot}: the registry at {self.url} answered something that is no schema") from error

    def candidates(self, stream: str) -> Sequence[Schema]:  # noqa: ARG002
        """Nothing: a registry does not know what a record without an id was written with."""
        return []

    def seen(self, stream: str, schema: Schema, how: str) -> None:
        """Nothing to do: the registry keeps its schemas."""


class Chain:
    """Several sources, asked in order; says once of each new schema that it was met.

    Parameters
    ----------
    sources
        First to know a schema wins. Where one cannot be reached and no other knows it, the fault is passed on as one that
        passes.
    on_new
        Told of each schema of a stream the first time it is met, and of none whose fingerprint is in `known`.
    """

    def __init__(
        self, sources: Sequence[SchemaSource], on_new: Seen | None = None, known: Mapping[str, set[str]] | None = None
    ) -> None:
        self._sources = tuple(sources)
        self._on_new = on_new
        self._known: dict[str, set[str]] = {stream: set(items) for stream, items in (known or {}).items()}
        self._met: dict[tuple[str, int], Schema] = {}  # by identity; holding the schema keeps its id from being used again
        self._lock = Lock()

    def by_id(self, stream: str, schema_id: int) -> Schema:
        """See `SchemaSource`."""
        away: TransientError | None = None
        reasons: list[str] = []
        for source in self._sources:
            try:
                return source.by_id(stream, schema_id)
            except SchemaUnavailableError as error:
                reasons.append(str(error).split(": ", 1)[-1])
            except TransientError as error:
                away = error
        if away is not None:
            raise away
        why = "; ".join(reasons) or "no source of schemas is set; install lsst-alert-packet or name a schema registry"
        raise SchemaUnavailableError(f"schema {schema_id} of stream {stream} cannot be had: {why}")

    def candidates(self, stream: str) -> Sequence[Schema]:
        """Those of all sources, in order."""
        return [schema for source in self._sources for schema in source.candidates(stream)]

    def seen(self, stream: str, schema: Schema, how: str) -> None:
        """See `SchemaSource`; a schema met before costs one look-up."""
        key = (stream, id(schema))
        if key in self._met:
            return
        mark = fingerprint_of(schema)
        with self._lock:
            if len(self._met) > 10_000:
                self._met.clear()
            self._met[key] = schema
            known = self._known.setdefault(stream, set())
            fresh = mark not in known
            known.add(mark)
        if fresh:
            for source in self._sources:
                source.seen(stream, schema, how)
            if self._on_new is not None:
                self._on_new(stream, schema, how, mark)


def _version(schema_id: int) -> str:
    return f"{schema_id // 100}.{schema_id % 100}"


def _package_folder() -> Path | None:
    """Schema folder of the installed package, found by its list of files."""
    try:
        files = importlib.metadata.files("lsst-alert-packet") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name.endswith(".alert.avsc"):
            return Path(str(file.locate())).parents[2]
    return None


def _assemble(folder: Path) -> Schema:
    """One schema of a folder of files that refer to each other by name."""
    parts: dict[str, Any] = {}
    for path in sorted(folder.glob("*.avsc")):
        node = json.loads(path.read_text(encoding="utf-8"))
        space = node.get("namespace", "")
        parts[node["name"] if "." in node["name"] or not space else f"{space}.{node['name']}"] = node
    top = next((name for name in parts if name.endswith(".alert")), None)
    if top is None:
        raise SchemaUnavailableError(f"{folder} has no schema of an alert; reinstall lsst-alert-packet")
    used: set[str] = set()

    def inline(node: Any, space: str) -> Any:
        """The node with each name's definition put in where it is first used."""
        if isinstance(node, list):
            return [inline(branch, space) for branch in node]
        if isinstance(node, str):
            full = node if node in parts else f"{space}.{node}"
            return define(full) if full in parts and full not in used else node
        if not isinstance(node, dict):
            return node
        return {
            key: inline(value, space)
            if key in {"type", "items", "values"}
            else [inline(item, space) for item in value]
            if key == "fields"
            else value
            for key, value in node.items()
        }

    def define(full: str) -> Any:
        used.add(full)
        return inline(parts[full], full.rpartition(".")[0])

    return define(top)
