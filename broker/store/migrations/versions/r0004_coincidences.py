"""Coincidences of events, and which search found a GW event."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Number = sa.Float(precision=53)

revision = "r0004"
down_revision = "r0003"
branch_labels = None
depends_on = None

_INDEXED = ("event", "external", "cause", "event_time")


def upgrade() -> None:
    """Change the tables."""
    for name in ("search_group", "search"):
        op.add_column("event_notices", sa.Column(name, sa.Text(), nullable=True))
    op.create_table(
        "coincidences",
        sa.Column("id", Id, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("cause", Id, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("real", sa.Boolean(), nullable=False),
        sa.Column("publishable", sa.Boolean(), nullable=False),
        sa.Column("event", Id, nullable=False),
        sa.Column("event_kind", sa.Text(), nullable=False),
        sa.Column("event_messenger", sa.Text(), nullable=False),
        sa.Column("event_mission", sa.Text(), nullable=True),
        sa.Column("event_revision", sa.Integer(), nullable=False),
        sa.Column("event_time", sa.BigInteger(), nullable=False),
        sa.Column("event_far", Number, nullable=True),
        sa.Column("classification", sa.Text(), nullable=True),
        sa.Column("external", Id, nullable=False),
        sa.Column("external_name", Id, nullable=False),
        sa.Column("external_kind", sa.Text(), nullable=False),
        sa.Column("external_messenger", sa.Text(), nullable=False),
        sa.Column("external_mission", sa.Text(), nullable=True),
        sa.Column("external_revision", sa.Integer(), nullable=False),
        sa.Column("external_time", sa.BigInteger(), nullable=False),
        sa.Column("external_far", Number, nullable=True),
        sa.Column("dt", Number, nullable=False),
        sa.Column("window", sa.Text(), nullable=False),
        sa.Column("window_from", Number, nullable=False),
        sa.Column("window_to", Number, nullable=False),
        sa.Column("far_temporal", Number, nullable=True),
        sa.Column("far_space_time", Number, nullable=True),
        sa.Column("overlap", Number, nullable=True),
        sa.Column("map_path", sa.Text(), nullable=True),
        sa.Column("ra", Number, nullable=True),
        sa.Column("dec", Number, nullable=True),
        sa.Column("area50", Number, nullable=True),
        sa.Column("area90", Number, nullable=True),
        sa.Column("distmean", Number, nullable=True),
        sa.Column("diststd", Number, nullable=True),
        sa.Column("computed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", "revision", name=op.f("pk_coincidences")),
        sqlite_with_rowid=False,
    )
    for name in _INDEXED:
        op.create_index(f"ix_coincidences_{name}", "coincidences", [name])


def downgrade() -> None:
    """Change them back."""
    op.drop_table("coincidences")
    for name in ("search", "search_group"):
        op.drop_column("event_notices", name)
