"""Alerts in the sky maps of events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

revision = "r0003"
down_revision = "r0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the tables."""
    op.create_table(
        "associations",
        sa.Column("event_name", Id, nullable=False),
        sa.Column("alert_id", Id, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("hpx", sa.BigInteger(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("credible_level", sa.Float(precision=53), nullable=False),
        sa.Column("density", sa.Float(precision=53), nullable=False),
        sa.Column("dt", sa.Float(precision=53), nullable=False),
        sa.Column("volume_level", sa.Float(precision=53), nullable=True),
        sa.Column("distance", sa.Float(precision=53), nullable=True),
        sa.Column("cause", Id, nullable=True),
        sa.Column("previous_level", sa.Float(precision=53), nullable=True),
        sa.Column("previous_volume", sa.Float(precision=53), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("computed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("event_name", "alert_id", name=op.f("pk_associations")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("associations", schema=None) as batch_op:
        batch_op.create_index("ix_associations_alert_id", ["alert_id"], unique=False)


def downgrade() -> None:
    """Undo it."""
    with op.batch_alter_table("associations", schema=None) as batch_op:
        batch_op.drop_index("ix_associations_alert_id")

    op.drop_table("associations")
