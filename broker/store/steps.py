"""What the database knows of the way of one alert, beside its own row: who owns its id, what maps made of it, who was told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from broker.store import tables
from broker.store.alerts import possible
from broker.store.claims import Claim
from broker.store.engine import Store, connection
from broker.store.times import from_micros

__all__ = ["Steps", "of_alert", "similar"]


@dataclass(frozen=True, slots=True)
class Steps:
    """Beside the alert's row.

    Parameters
    ----------
    owner
        Where its id was first met; ``None`` where it never was.
    revisions
        Ids of other notices that came under the same id with other bytes.
    associations
        Rows: ``event_name, revision, state, credible_level, volume_level, cause, previous_level, computed``.
    skymaps
        Maps it was found in when it came.
    relayed
        Rows: ``relay, event_name, level``.
    """

    owner: Claim | None
    revisions: tuple[str, ...]
    associations: tuple[dict[str, Any], ...]
    skymaps: tuple[dict[str, Any], ...]
    relayed: tuple[dict[str, Any], ...]


def of_alert(store: Store, alert_id: str) -> Steps:
    """Of an alert, kept or not; `NotFoundError` for what no id can be."""
    possible(alert_id)
    claim, found, told = tables.claims.c, tables.associations.c, tables.relayed.c
    first = alert_id.partition(";")[0]
    with connection(store) as conn:
        owner = conn.execute(select(tables.claims).where(claim.alert_id == alert_id)).first()
        # Ids are compared by bytes: all that begin with it and a semicolon.
        ids = conn.execute(select(claim.alert_id).where(claim.alert_id.between(f"{first};", f"{first};g"))).scalars().all()
        same = conn.execute(select(claim.alert_id).where(claim.alert_id == first)).scalars().all()
        associated = conn.execute(select(tables.associations).where(found.alert_id == alert_id).order_by(found.event_name))
        rows = [_dated(dict(row)) for row in associated.mappings()]
        skymaps = conn.execute(select(tables.alerts.c.skymaps).where(tables.alerts.c.alert_id == alert_id)).scalar()
        relayed = conn.execute(select(tables.relayed).where(told.alert_id == alert_id).order_by(told.relay, told.event_name))
        sent = [dict(row) for row in relayed.mappings()]
    return Steps(
        None if owner is None else Claim((owner.topic, owner.partition, owner.offset), owner.digest),
        tuple(sorted({*same, *ids} - {alert_id})),
        tuple(rows),
        tuple(skymaps or ()),
        tuple({name: row[name] for name in ("relay", "event_name", "level")} for row in sent),
    )


def similar(store: Store, alert_id: str, streams: Sequence[str]) -> str | None:
    """An alert there is whose id differs by its stream only, or that says more than was said."""
    alert = tables.alerts.c
    native = alert_id.partition(":")[2] or alert_id
    asked = sorted({f"{stream}:{native}" for stream in streams} | {f"{stream}:{alert_id}" for stream in streams})
    with connection(store) as conn:
        found = conn.execute(select(alert.alert_id).where(alert.alert_id.in_(asked)).order_by(alert.alert_id)).scalars().first()
        if found is None:
            of_object = select(alert.alert_id).where(alert.object_id == native).order_by(alert.sort_time.desc())
            found = conn.execute(of_object.limit(1)).scalars().first()
        if found is None and len(alert_id) > 4:
            more = alert.alert_id.between(alert_id, alert_id + "\U0010ffff")
            found = conn.execute(select(alert.alert_id).where(more).order_by(alert.alert_id).limit(1)).scalars().first()
    return found


def _dated(row: dict[str, Any]) -> dict[str, Any]:
    computed: datetime | None = from_micros(row["computed"])
    names = ("event_name", "revision", "state", "credible_level", "volume_level", "cause", "previous_level")
    return {name: row[name] for name in names} | {"computed": computed}
