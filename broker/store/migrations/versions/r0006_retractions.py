"""Gravitational waves that LVK took back by a notice of a preliminary's type, and that were not taken for retracted.

Revision ID: r0006
Revises: r0005
"""

from __future__ import annotations

from alembic import op

revision = "r0006"
down_revision = "r0005"
branch_labels = None
depends_on = None

_UNHEARD = "mission = 'LVK' AND messenger = 'GW' AND alert_type = 'retraction' AND stage IS NOT NULL AND stage <> 'retracted'"


def upgrade() -> None:
    """Say what these notices say; what else is known of events is worked out anew with their next notice."""
    op.execute(
        "UPDATE events SET state = 'retracted' "  # noqa: S608 - of our own words alone
        f"WHERE mission = 'LVK' AND event_name IN (SELECT event_name FROM event_notices WHERE {_UNHEARD})"
    )
    op.execute(f"UPDATE event_notices SET stage = 'retracted' WHERE {_UNHEARD}")  # noqa: S608
    op.execute("UPDATE counters SET value = value + 1 WHERE name = 'events'")  # live maps are asked for again


def downgrade() -> None:
    """Leave them retracted: that is what LVK said."""
