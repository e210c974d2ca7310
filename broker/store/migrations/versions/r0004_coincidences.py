"""Coincidences of events of different messengers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

revision = "r0004"
down_revision = "r0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the tables."""
    op.create_table(
        "coincidences",
        sa.Column("first_event", Id, nullable=False),
        sa.Column("second_event", Id, nullable=False),
        sa.Column("first_revision", sa.Integer(), nullable=False),
        sa.Column("second_revision", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("real", sa.Boolean(), nullable=False),
        sa.Column("first_messenger", sa.Text(), nullable=True),
        sa.Column("second_messenger", sa.Text(), nullable=True),
        sa.Column("second_mission", sa.Text(), nullable=True),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("dt", sa.Float(53), nullable=False),
        sa.Column("far_temporal", sa.Float(53), nullable=True),
        sa.Column("far_space_time", sa.Float(53), nullable=True),
        sa.Column("overlap", sa.Float(53), nullable=True),
        sa.Column("publishable", sa.Boolean(), nullable=False),
        sa.Column("map_path", sa.Text(), nullable=True),
        sa.Column("ra", sa.Float(53), nullable=True),
        sa.Column("dec", sa.Float(53), nullable=True),
        sa.Column("area50", sa.Float(53), nullable=True),
        sa.Column("area90", sa.Float(53), nullable=True),
        sa.Column("distmean", sa.Float(53), nullable=True),
        sa.Column("diststd", sa.Float(53), nullable=True),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("first_event", "second_event", name="pk_coincidences"),
    )
    op.create_index("ix_coincidences_second_event", "coincidences", ["second_event"])
    op.create_index("ix_coincidences_time", "coincidences", ["time"])


def downgrade() -> None:
    """Change them back."""
    op.drop_table("coincidences")
