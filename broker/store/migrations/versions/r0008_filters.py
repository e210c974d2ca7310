"""Versions of filters.

Revision ID: r0008
Revises: r0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Serial = sa.BigInteger().with_variant(sa.Integer, "sqlite")

revision = "r0008"
down_revision = "r0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the tables."""
    op.create_table(
        "filter_names",
        sa.Column("name", Id, nullable=False),
        sa.Column("owner", sa.Text),
        sa.Column("team", sa.Text),
        sa.Column("visibility", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_filter_names")),
    )
    op.create_table(
        "filter_versions",
        sa.Column("name", Id, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["name"], ["filter_names.name"], name=op.f("fk_filter_versions_name"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("name", "version", name=op.f("pk_filter_versions")),
    )
    live = sa.text("state = 'live'")
    op.create_index(
        "ix_filter_versions_live", "filter_versions", ["name"], unique=True, sqlite_where=live, postgresql_where=live
    )
    op.create_table(
        "filter_changes",
        sa.Column("seq", Serial, sa.Identity(), nullable=False),
        sa.Column("name", Id, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("note", sa.Text),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_filter_changes")),
    )
    op.create_index("ix_filter_changes_name", "filter_changes", ["name", "version"])
    op.create_table(
        "filter_files",
        sa.Column("name", Id, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_filter_files")),
    )


def downgrade() -> None:
    """Change them back."""
    for table in ("filter_files", "filter_changes", "filter_versions", "filter_names"):
        op.drop_table(table)
