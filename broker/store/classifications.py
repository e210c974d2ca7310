"""What people and classifiers take alerts for: who says so, when, by which taxonomy and how sure they are."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import RowMapping, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from broker.errors import NotFoundError
from broker.store import tables
from broker.store.alerts import possible
from broker.store.engine import Store, connection, transaction
from broker.store.subscription import legible
from broker.store.times import from_micros, now

__all__ = ["get", "of_alert", "post", "remove"]

_SPACE: Final = uuid.UUID("6f1d3a55-5f0e-4c0e-9a55-0d6f7c1b8a31")
_KEY: Final = ("taxonomy", "classifier", "version", "classification")
_SAID: Final = (*_KEY, "probability", "reference")


def post(store: Store, alert_id: str, classifications: Sequence[Mapping[str, Any]], *, who: str) -> list[dict[str, Any]]:
    """Keep classifications of an alert, all or none; those of the alert as they are now come back.

    One that the same account sent before, of the same classifier, version, taxonomy and class, is replaced: its probability is
    what it thinks now.

    Parameters
    ----------
    classifications
        ``classification``, ``probability`` (0 to 1), ``taxonomy``, ``classifier``, ``version``, ``reference``; but for the
        first, each may be ``None``.
    who
        Account that sends them.

    Raises
    ------
    NotFoundError
        No such alert.
    """
    possible(alert_id)
    at = now()
    rows: dict[str, dict[str, Any]] = {}
    for one in classifications:
        said = {name: one.get(name) for name in _SAID}
        told = "\x1f".join((alert_id, who, *(str(said[name] or "") for name in _KEY)))
        ident = f"cls_{uuid.uuid5(_SPACE, told).hex[:24]}"
        rows[ident] = {"id": ident, "alert_id": alert_id, "who": who, **said, "created": at, "changed": at}
    table = tables.classifications
    make = postgresql.insert if store.dialect == "postgresql" else sqlite.insert
    with transaction(store) as conn:
        if conn.execute(select(tables.alerts.c.alert_id).where(tables.alerts.c.alert_id == alert_id)).first() is None:
            raise NotFoundError(f"no alert {alert_id!r}: ids look like ztf:1234, see `nuncius query`")
        for row in rows.values():
            wanted = make(table).values(row)
            new = {name: wanted.excluded[name] for name in ("probability", "reference", "changed")}
            conn.execute(wanted.on_conflict_do_update(index_elements=[table.c.id], set_=new))
    return of_alert(store, alert_id)


def get(store: Store, ident: str) -> dict[str, Any]:
    """A classification.

    Raises
    ------
    NotFoundError
        There is none of this id.
    """
    with connection(store) as conn:
        asked = select(tables.classifications).where(tables.classifications.c.id == ident)
        row = conn.execute(asked).mappings().first() if legible(ident) else None
    if row is None:
        raise NotFoundError(f"no classification {ident[:80]!r}: ids look like cls_0a1b2c3d4e5f0a1b2c3d4e5f")
    return _shown(row)


def remove(store: Store, ident: str) -> None:
    """Take out a classification that should never have been sent: nothing of it is kept.

    Raises
    ------
    NotFoundError
        There is none of this id.
    """
    get(store, ident)
    with transaction(store) as conn:
        conn.execute(delete(tables.classifications).where(tables.classifications.c.id == ident))


def of_alert(store: Store, alert_id: str) -> list[dict[str, Any]]:
    """Classifications of an alert, those changed last first, the likelier ones of an instant before the others."""
    row = tables.classifications.c
    wanted = select(tables.classifications).where(row.alert_id == alert_id)
    ordered = wanted.order_by(row.changed.desc(), row.probability.is_(None), row.probability.desc(), row.classification, row.id)
    with connection(store) as conn:
        return [_shown(each) for each in conn.execute(ordered).mappings()]


def _shown(row: RowMapping) -> dict[str, Any]:
    return dict(row) | {name: from_micros(row[name]) for name in ("created", "changed")}
