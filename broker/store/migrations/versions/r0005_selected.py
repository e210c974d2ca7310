"""What matches carry.

Revision ID: r0005
Revises: r0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0005"
down_revision = "r0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the tables."""
    op.add_column("matches", sa.Column("selected", sa.Text(), nullable=True))


def downgrade() -> None:
    """Change them back."""
    op.drop_column("matches", "selected")
