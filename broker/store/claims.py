"""Who owns an alert id: the origin it was first met at.

A claim is committed before the batch goes on, so that of two processes that meet one alert, exactly one owns it. An alert met
again at its owner's origin is a batch done again; at any other it is a duplicate.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from broker.store.engine import Store, transaction

__all__ = ["Claim", "Origin", "claim"]

Origin = tuple[str, int, int]
"""Topic, partition and offset."""


class Claim(NamedTuple):
    """Owner of an id.

    Parameters
    ----------
    origin
        Where it was first met.
    digest
        Of the bytes it had there; ``None`` where the id alone decides.
    """

    origin: Origin
    digest: bytes | None


_Row = tuple[str, str, int, int, bytes | None]


def claim(store: Store, ids: Sequence[str], origins: Sequence[Origin], digests: Sequence[bytes | None]) -> list[Claim]:
    """Claim ids that are free and tell who owns each.

    An id that comes several times in one call goes to the first of them; as two alerts in one record have the same origin, the
    caller tells those apart by itself.

    Parameters
    ----------
    ids, origins, digests
        One a row: alert id, its record's origin, digest of its bytes.

    Returns
    -------
    list of Claim
        One a row, the owner after this call.

    Raises
    ------
    StoreUnavailableError
        The database is away; nothing is claimed.
    """
    ids = [alert_id.replace("\0", "") for alert_id in ids]  # as `broker.store.bulk.clean` does
    wanted: dict[str, _Row] = {}
    for alert_id, (topic, partition, offset), digest in zip(ids, origins, digests, strict=True):
        if alert_id not in wanted:
            wanted[alert_id] = (alert_id, topic, partition, offset, digest)
    if not wanted:
        return []
    rows = sorted(wanted.values(), key=_by_id)  # in one order, so that two processes never wait for each other in a circle
    with transaction(store) as conn:
        others = _claim_sqlite(conn, rows) if store.dialect == "sqlite" else _claim_postgresql(conn, rows)
    for owner in others:
        wanted[owner[0]] = owner
    return [Claim((row[1], row[2], row[3]), row[4]) for row in map(wanted.__getitem__, ids)]


def _by_id(row: _Row) -> str:
    return row[0]


def _claim_sqlite(conn: Connection, rows: list[_Row]) -> list[_Row]:
    """Owners of the ids asked for, or none where all of them were free."""
    inserted = conn.exec_driver_sql(
        'INSERT INTO claims (alert_id, topic, "partition", "offset", digest) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
        rows,
    ).rowcount
    if inserted == len(rows):
        return []
    asked = json.dumps([row[0] for row in rows])
    found = conn.exec_driver_sql(
        'SELECT alert_id, topic, "partition", "offset", digest FROM claims WHERE alert_id IN (SELECT value FROM json_each(?))',
        (asked,),
    )
    return [(row[0], row[1], row[2], row[3], row[4]) for row in found]


def _claim_postgresql(conn: Connection, rows: list[_Row]) -> list[_Row]:
    columns = [list(column) for column in zip(*rows, strict=True)]
    inserted = conn.exec_driver_sql(
        'INSERT INTO claims (alert_id, topic, "partition", "offset", digest) '
        "SELECT * FROM unnest(%s::text[], %s::text[], %s::int[], %s::bigint[], %s::bytea[]) ON CONFLICT DO NOTHING",
        tuple(columns),
    ).rowcount
    if inserted == len(rows):
        return []
    # A statement of its own: it sees what others committed while ours waited for them.
    found = conn.exec_driver_sql(
        'SELECT alert_id, topic, "partition", "offset", digest FROM claims WHERE alert_id = ANY(%s)', (columns[0],)
    )
    return [(row[0], row[1], row[2], row[3], row[4]) for row in found]
