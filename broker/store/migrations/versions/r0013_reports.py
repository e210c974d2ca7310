"""What observers send back: observations of events, classifications of alerts.

Revision ID: r0013
Revises: r0012
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

revision = "r0013"
down_revision = "r0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the tables."""
    op.create_table(
        "observations",
        sa.Column("id", Id, nullable=False),
        sa.Column("event_name", Id, nullable=False),
        sa.Column("sender_id", Id),
        sa.Column("who", Id, nullable=False),
        sa.Column("reporter", sa.Text(), nullable=False),
        sa.Column("telescope", sa.Text(), nullable=False),
        sa.Column("instrument", sa.Text()),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("ra", sa.Float(precision=53), nullable=False),
        sa.Column("dec", sa.Float(precision=53), nullable=False),
        sa.Column("footprint", sa.JSON()),
        sa.Column("band", sa.Text()),
        sa.Column("band_min", sa.Float(precision=53)),
        sa.Column("band_max", sa.Float(precision=53)),
        sa.Column("band_unit", sa.Text()),
        sa.Column("depth", sa.Float(precision=53)),
        sa.Column("depth_unit", sa.Text()),
        sa.Column("exposure", sa.Float(precision=53)),
        sa.Column("photometry", sa.JSON()),
        sa.Column("reference", sa.Text()),
        sa.Column("note", sa.Text()),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_observations")),
    )
    op.create_index("ix_observations_event_name", "observations", ["event_name", "time", "id"])
    op.create_index("ix_observations_sender_id", "observations", ["event_name", "who", "sender_id"])
    op.create_table(
        "classifications",
        sa.Column("id", Id, nullable=False),
        sa.Column("alert_id", Id, nullable=False),
        sa.Column("who", Id, nullable=False),
        sa.Column("classification", sa.Text(), nullable=False),
        sa.Column("probability", sa.Float(precision=53)),
        sa.Column("taxonomy", sa.Text()),
        sa.Column("classifier", sa.Text()),
        sa.Column("version", sa.Text()),
        sa.Column("reference", sa.Text()),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_classifications")),
        sa.ForeignKeyConstraint(
            ["alert_id"], ["alerts.alert_id"], name=op.f("fk_classifications_alert_id"), ondelete="CASCADE"
        ),
    )
    op.create_index("ix_classifications_alert_id", "classifications", ["alert_id"])


def downgrade() -> None:
    """Change them back."""
    for name in ("classifications", "observations"):
        op.drop_table(name)
