"""Lists of targets and parts of the sky that filters ask for.

Revision ID: r0009
Revises: r0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

revision = "r0009"
down_revision = "r0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the tables."""
    for name, more in (
        ("watchlists", ()),
        ("regions", (sa.Column("event_name", Id), sa.Column("level", sa.Float(precision=53)))),
    ):
        op.create_table(
            name,
            sa.Column("name", Id, nullable=False),
            sa.Column("owner", sa.Text()),
            sa.Column("team", sa.Text()),
            sa.Column("visibility", sa.Text(), nullable=False),
            sa.Column("description", sa.Text(), nullable=False),
            sa.Column("created", sa.BigInteger(), nullable=False),
            sa.Column("who", sa.Text()),
            *more,
            sa.PrimaryKeyConstraint("name", name=op.f(f"pk_{name}")),
        )
    op.create_table(
        "watchlist_versions",
        sa.Column("name", Id, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("who", sa.Text()),
        sa.Column("change", sa.Text(), nullable=False),
        sa.Column("targets", sa.Integer(), nullable=False),
        sa.Column("radius", sa.Float(precision=53), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("base", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", "version", name=op.f("pk_watchlist_versions")),
    )
    op.create_table(
        "region_versions",
        sa.Column("name", Id, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("who", sa.Text()),
        sa.Column("healpix_order", sa.Integer(), nullable=False),
        sa.Column("fraction", sa.Float(precision=53), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", "version", name=op.f("pk_region_versions")),
    )


def downgrade() -> None:
    """Change them back."""
    for name in ("region_versions", "regions", "watchlist_versions", "watchlists"):
        op.drop_table(name)
