"""Which addresses of a message have it, how much was left out of a subscription since too much waited, and what came earlier.

Revision ID: r0014
Revises: r0013
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0014"
down_revision = "r0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the tables."""
    op.add_column("deliveries", sa.Column("told", sa.Text()))
    op.add_column("subscriptions", sa.Column("left_out", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("subscriptions", sa.Column("left_out_at", sa.BigInteger()))
    op.drop_index("ix_deliveries_alert_id", "deliveries")
    op.create_index("ix_deliveries_alert_id", "deliveries", ["alert_id", "subscription"])


def downgrade() -> None:
    """Change them back."""
    op.drop_index("ix_deliveries_alert_id", "deliveries")
    op.create_index("ix_deliveries_alert_id", "deliveries", ["alert_id"])
    op.drop_column("subscriptions", "left_out_at")
    op.drop_column("subscriptions", "left_out")
    op.drop_column("deliveries", "told")
