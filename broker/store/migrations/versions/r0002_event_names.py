"""Events under all their names, what puts their notices in order, circulars beside them, and signs of life."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from broker.identifiers import fold, is_mock

Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

revision = "r0002"
down_revision = "r0001"
branch_labels = None
depends_on = None

_NOTICE_COLUMNS = (
    ("names", sa.JSON()),
    ("refers", sa.JSON()),
    ("related", sa.JSON()),
    ("cites", sa.JSON()),
    ("ivorn", sa.Text()),
    ("offset", sa.BigInteger()),
    ("issued", sa.BigInteger()),
    ("serial", sa.BigInteger()),
    ("significant", sa.Boolean()),
    ("stage", sa.Text()),
    ("type", sa.Text()),
)


def upgrade() -> None:
    """Change the tables."""
    for name, kind in _NOTICE_COLUMNS:
        op.add_column("event_notices", sa.Column(name, kind, nullable=True))
    op.add_column("events", sa.Column("real", sa.Boolean(), nullable=False, server_default=sa.true()))
    op.add_column("events", sa.Column("significant", sa.Boolean(), nullable=True))
    op.create_table(
        "event_aliases",
        sa.Column("key", Id, nullable=False),
        sa.Column("event_name", Id, nullable=False),
        sa.Column("alias", sa.Text(), nullable=False),
        sa.Column("shown", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_event_aliases")),
    )
    op.create_index("ix_event_aliases_event_name", "event_aliases", ["event_name"])
    op.create_table(
        "event_circulars",
        sa.Column("alert_id", Id, nullable=False),
        sa.Column("event_name", Id, nullable=False),
        sa.Column("stream", Id, nullable=False),
        sa.Column("circular", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("submitter", sa.Text(), nullable=True),
        sa.Column("posted", sa.BigInteger(), nullable=True),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=True),
        sa.Column("real", sa.Boolean(), nullable=False),
        sa.Column("names", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("alert_id", name=op.f("pk_event_circulars")),
    )
    op.create_index("ix_event_circulars_event_name", "event_circulars", ["event_name"])
    op.create_table(
        "heartbeats",
        sa.Column("upstream", Id, nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("seen", sa.BigInteger(), nullable=True),
        sa.Column("sent", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("upstream", name=op.f("pk_heartbeats")),
    )
    _fill()


def _fill() -> None:
    """What events of before have of all this: a name, a state, and whether they are real."""
    conn = op.get_bind()
    events = sa.table(
        "events",
        sa.column("event_name", sa.Text()),
        sa.column("alert_type", sa.Text()),
        sa.column("alert_tense", sa.Text()),
        sa.column("state", sa.Text()),
        sa.column("real", sa.Boolean()),
    )
    aliases = sa.table(
        "event_aliases",
        sa.column("key", sa.Text()),
        sa.column("event_name", sa.Text()),
        sa.column("alias", sa.Text()),
        sa.column("shown", sa.Boolean()),
    )
    keys: set[str] = set()
    for name, kind, tense, state in conn.execute(
        sa.select(events.c.event_name, events.c.alert_type, events.c.alert_tense, events.c.state)
    ).all():
        real = tense not in {"test", "injection", "commanded"} and not is_mock(name)
        key = fold(name) if real else f"~{fold(name)}"
        if key not in keys:  # spellings of one name join as soon as either has a notice again
            keys.add(key)
            conn.execute(aliases.insert().values(key=key, event_name=name, alias=name, shown=True))
        now = "retracted" if state == "retracted" else "update" if kind in {"update", "subsequent"} else "initial"
        conn.execute(events.update().where(events.c.event_name == name).values(state=now, real=real))


def downgrade() -> None:
    """Change them back."""
    for table in ("heartbeats", "event_circulars", "event_aliases"):
        op.drop_table(table)
    for name in ("significant", "real"):
        op.drop_column("events", name)
    for name, _ in reversed(_NOTICE_COLUMNS):
        op.drop_column("event_notices", name)
