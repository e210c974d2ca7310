"""Which survey's packet are these bytes? Told by what they are, never by a file's or topic's name."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from broker.decode.declaration import Declaration
from broker.decode.ocf import MAGIC, header_of
from broker.decode.program import UnusualSchemaError, field_paths
from broker.decode.schema_names import record_name, resolve_names
from broker.decode.schemas import SchemaSource
from broker.decode.survey import decode_survey
from broker.errors import DecodeError, SchemaUnavailableError
from broker.record import Record

__all__ = ["nearest", "sniff_avro", "stream_of_schema"]

_TEXT = (b"{", b"[", b"<", b"SIMPLE", b"\xef\xbb\xbf")


def sniff_avro(data: bytes, declarations: Mapping[str, Declaration], schemas: SchemaSource) -> str | None:
    """Stream of a survey packet.

    Parameters
    ----------
    data
        The packet, or anything else.
    declarations
        The streams it may be of.
    schemas
        Where schemas are that packets do not carry.

    Returns
    -------
    str or None
        A container's stream is told by its schema even if its records are damaged; a Confluent-framed packet's by its schema
        id and its first fields; a bare record's by fitting one of a stream's schemas to its last byte.
    """
    if data.startswith(MAGIC):
        try:
            return stream_of_schema(header_of(data).schema, declarations)
        except DecodeError:
            return None
    if len(data) < 16 or data.lstrip()[:6].startswith(_TEXT):
        return None
    for stream, declaration in declarations.items():
        if data[0] == 0 and "confluent" in declaration.framing:
            if _framed(data, declaration, schemas):
                return stream
        elif "bare" in declaration.framing and _decodes(data, declaration, schemas):
            return stream
    return None


def stream_of_schema(schema: Any, declarations: Mapping[str, Declaration]) -> str | None:
    """Stream whose packets are written with such a schema: by the fields it must have, and by its name where several do."""
    known = _known.get(id(schema))
    if known is not None and known[0] is schema and known[1] is declarations:
        return known[2]
    stream = _match(schema, declarations)
    if len(_known) >= 256:
        _known.clear()
    _known[id(schema)] = (schema, declarations, stream)
    return stream


_known: dict[int, tuple[Any, Mapping[str, Declaration], str | None]] = {}


def nearest(data: bytes, declarations: Mapping[str, Declaration]) -> str:
    """Why an Avro container is of no declared stream: the declaration that comes nearest, and what it lacks for it.

    Returns
    -------
    str
        Empty for what is no container.
    """
    if not data.startswith(MAGIC):
        return ""
    try:
        schema = header_of(data).schema
        names = list(resolve_names(schema)) if isinstance(schema, list) else [record_name(schema)]
        paths = frozenset[str]() if isinstance(schema, list) else field_paths(schema)
    except (UnusualSchemaError, DecodeError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        return f"it begins as an Avro container, and its schema cannot be read: {str(error)[:200]}"
    lacking = {
        stream: [rule for rule in one.detect.fields if not any(path in paths for path in rule.split("|"))]
        for stream, one in declarations.items()
    }
    shares = {stream: 1.0 - len(rules) / len(declarations[stream].detect.fields) for stream, rules in lacking.items()}
    called = f"it is an Avro container of {', '.join(name or 'no name' for name in names[:3])}"
    best = max(shares, key=lambda stream: shares[stream], default="")
    if not best or not shares[best]:
        return f"{called}, which has none of the fields that any declaration of a stream tells its packets by (detect.fields)"
    return f"{called}; the declaration of {best} comes nearest, but of its detect.fields it lacks {', '.join(lacking[best])}"


def _match(schema: Any, declarations: Mapping[str, Declaration]) -> str | None:
    # A union of records is no packet's schema, but it does say whose it was meant to be.
    try:
        names = list(resolve_names(schema)) if isinstance(schema, list) else [record_name(schema)]
        paths: frozenset[str] | None = None if isinstance(schema, list) else field_paths(schema)
    except UnusualSchemaError:
        paths, names = None, [record_name(schema)]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    named = [d for d in declarations.values() if any(fnmatchcase(name, rule) for name in names for rule in d.detect.records)]
    if paths is None:
        return named[0].stream if named else None
    for group in (named, list(declarations.values())):
        fitting = [d for d in group if all(any(path in paths for path in rule.split("|")) for rule in d.detect.fields)]
        if fitting:
            return max(fitting, key=lambda d: len(d.detect.fields)).stream
    return None


def _framed(data: bytes, declaration: Declaration, schemas: SchemaSource) -> bool:
    try:
        schemas.by_id(declaration.stream, int.from_bytes(data[1:5], "big"))
    except SchemaUnavailableError:
        return False
    # Four bytes can fit by chance: 160-byte GCN notices begin with zeros too, and are too short for a survey's packet.
    return len(data) > 160 or _decodes(data, declaration, schemas)


def _decodes(data: bytes, declaration: Declaration, schemas: SchemaSource) -> bool:
    record = Record(topic="", partition=0, offset=0, timestamp=0, key=None, value=data)
    return decode_survey(declaration, [record], schemas).frame.height > 0
