"""Subscriptions, and what is delivered to them.

Revision ID: r0012
Revises: r0011
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

revision = "r0012"
down_revision = "r0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the tables."""
    op.create_table(
        "subscriptions",
        sa.Column("id", Id, nullable=False),
        sa.Column("filters", sa.JSON(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("target", sa.JSON(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("owner", Id),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("rate", sa.Integer()),
        sa.Column("quiet", sa.JSON()),
        sa.Column("digest", sa.Integer()),
        sa.Column("only_first", sa.Boolean(), nullable=False),
        sa.Column("updates", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscriptions")),
    )
    op.create_index("ix_subscriptions_owner", "subscriptions", ["owner"])
    op.create_table(
        "deliveries",
        sa.Column("id", Id, nullable=False),
        sa.Column("subscription", Id, nullable=False),
        sa.Column("filter", Id, nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("alert_id", Id, nullable=False),
        sa.Column("object", Id, nullable=False),
        sa.Column("change", sa.Text(), nullable=False),
        sa.Column("event", Id),
        sa.Column("revision", sa.Integer()),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", Id, nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("begun", sa.BigInteger()),
        sa.Column("tried", sa.BigInteger()),
        sa.Column("status", sa.Integer()),
        sa.Column("error", sa.Text()),
        sa.Column("acknowledged", sa.BigInteger()),
        sa.Column("digest", Id),
        sa.Column("lease_by", Id),
        sa.Column("lease_until", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
    )
    op.create_index("ix_deliveries_created", "deliveries", ["created", "id"])
    op.create_index("ix_deliveries_state", "deliveries", ["state", "created", "id"])
    op.create_index("ix_deliveries_subscription", "deliveries", ["subscription", "state", "created", "id"])
    op.create_index("ix_deliveries_alert_id", "deliveries", ["alert_id"])
    op.create_index("ix_deliveries_tried", "deliveries", ["subscription", "tried"])
    op.create_index("ix_deliveries_acknowledged", "deliveries", ["subscription", "acknowledged"])
    op.create_index(
        "ix_deliveries_due",
        "deliveries",
        ["subscription", "due", "created", "id"],
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_table(
        "first_told",
        sa.Column("subscription", Id, nullable=False),
        sa.Column("object", Id, nullable=False),
        sa.Column("delivery", Id, nullable=False),
        sa.PrimaryKeyConstraint("subscription", "object", name=op.f("pk_first_told")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Change them back."""
    for name in ("first_told", "deliveries", "subscriptions"):
        op.drop_table(name)
