"""Files of filters by the place they lie in.

Revision ID: r0011
Revises: r0010
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

revision = "r0011"
down_revision = "r0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the tables."""
    op.create_table(
        "filter_files_now",
        sa.Column("place", Id, nullable=False),
        sa.Column("name", Id, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("place", "name", name="pk_filter_files_now"),
    )
    op.execute("INSERT INTO filter_files_now (place, name, digest) SELECT '', name, digest FROM filter_files")
    op.drop_table("filter_files")
    op.rename_table("filter_files_now", "filter_files")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER INDEX pk_filter_files_now RENAME TO pk_filter_files")


def downgrade() -> None:
    """Change them back."""
    op.create_table(
        "filter_files_before",
        sa.Column("name", Id, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_filter_files_before"),
    )
    op.execute("INSERT INTO filter_files_before (name, digest) SELECT name, min(digest) FROM filter_files GROUP BY name")
    op.drop_table("filter_files")
    op.rename_table("filter_files_before", "filter_files")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER INDEX pk_filter_files_before RENAME TO pk_filter_files")
