"""Writer schemas as they were first met, by fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from broker.store import tables
from broker.store.engine import Store, connection, transaction
from broker.store.times import from_micros, now

__all__ = ["fingerprint", "listing", "see"]


def fingerprint(schema: Mapping[str, Any]) -> str:
    """SHA-256, in hexadecimal, of the schema as JSON without regard to the order of keys.

    Not of Avro's canonical form: that drops defaults and is refused by schemas that are not quite right, which are met too.
    """
    return hashlib.sha256(_text(schema).encode()).hexdigest()


def see(store: Store, stream: str, schema: Mapping[str, Any], how: str) -> bool:
    """Keep a schema, and tell whether it is new to the stream.

    Parameters
    ----------
    stream
        It was met on.
    schema
        Avro, as decoded JSON.
    how
        Where it was had from: ``container``, ``registry``, ...

    Returns
    -------
    bool
        True for exactly one of the processes that meet it first.
    """
    seen, mark = tables.schemas_seen, fingerprint(schema)
    known = select(seen.c.stream).where(seen.c.stream == stream, seen.c.fingerprint == mark)
    with connection(store) as conn:
        if conn.execute(known).first() is not None:
            return False
    marker = "?" if store.dialect == "sqlite" else "%s"
    with transaction(store) as conn:
        inserted = conn.exec_driver_sql(
            "INSERT INTO schemas_seen (stream, fingerprint, schema, how, first_seen) "  # noqa: S608 - only the marker varies
            f"VALUES ({', '.join([marker] * 5)}) ON CONFLICT DO NOTHING",
            (stream, mark, _text(schema), how, now()),
        ).rowcount
    return inserted == 1


def listing(store: Store, stream: str | None = None) -> list[dict[str, Any]]:
    """Schemas seen, oldest first.

    Returns
    -------
    list of dict
        ``stream, fingerprint, schema`` (decoded), ``how`` and ``first_seen``.
    """
    seen = tables.schemas_seen
    wanted = select(seen).order_by(seen.c.first_seen, seen.c.fingerprint)
    if stream is not None:
        wanted = wanted.where(seen.c.stream == stream)
    with connection(store) as conn:
        rows = conn.execute(wanted).mappings().all()
    return [dict(row) | {"schema": json.loads(row["schema"]), "first_seen": from_micros(row["first_seen"])} for row in rows]


def _text(schema: Mapping[str, Any]) -> str:
    return json.dumps(schema, sort_keys=True, separators=(",", ":"))
