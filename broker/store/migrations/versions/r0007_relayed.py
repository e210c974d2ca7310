"""What other networks were told.

Revision ID: r0007
Revises: r0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

revision = "r0007"
down_revision = "r0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the tables."""
    op.create_table(
        "relayed",
        sa.Column("relay", Id, nullable=False),
        sa.Column("event_name", Id, nullable=False),
        sa.Column("alert_id", Id, nullable=False),
        sa.Column("level", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("relay", "event_name", "alert_id", name=op.f("pk_relayed")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_relayed_event_name", "relayed", ["event_name"])


def downgrade() -> None:
    """Change them back."""
    op.drop_table("relayed")
