"""What other networks were told: by relay, event and alert, the credible level that they were told last."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, delete, insert, select, update

from broker.store import tables
from broker.store.engine import Store, connection, transaction

__all__ = ["note", "renamed", "told"]


def told(store: Store, relay: str, event_name: str, alert_id: str) -> float | None:
    """Level that a relay has told last of an alert in an event's map; ``None`` where it told nothing, or took it back."""
    table = tables.relayed.c
    asked = select(table.level).where(table.relay == relay, table.event_name == event_name, table.alert_id == alert_id)
    with connection(store) as conn:
        found: float | None = conn.execute(asked).scalar_one_or_none()
    return found


def note(store: Store, relay: str, alert_id: str, levels: Mapping[str, float | None]) -> None:
    """Keep what was told of an alert.

    Parameters
    ----------
    levels
        By event name; ``None`` where it was taken back.
    """
    table = tables.relayed
    with transaction(store) as conn:
        for event_name, level in levels.items():
            here = (table.c.relay == relay, table.c.event_name == event_name, table.c.alert_id == alert_id)
            conn.execute(delete(table).where(*here))
            if level is not None:
                conn.execute(insert(table).values(relay=relay, event_name=event_name, alert_id=alert_id, level=level))


def renamed(conn: Connection, old: str, new: str) -> None:
    """What was told of an event that has become part of another, or goes by another name."""
    table = tables.relayed
    mine = table.c.event_name == old
    for relay, alert_id in conn.execute(select(table.c.relay, table.c.alert_id).where(mine)).all():
        here = (table.c.relay == relay, table.c.alert_id == alert_id)
        if conn.execute(select(table.c.level).where(*here, table.c.event_name == new)).first() is not None:
            conn.execute(delete(table).where(*here, mine))
    conn.execute(update(table).where(mine).values(event_name=new))
