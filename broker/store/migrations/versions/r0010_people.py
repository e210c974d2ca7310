"""Accounts, teams, tokens.

Revision ID: r0010
Revises: r0009
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

revision = "r0010"
down_revision = "r0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the tables."""
    op.create_table(
        "users",
        sa.Column("name", Id, nullable=False),
        sa.Column("email", sa.Text()),
        sa.Column("display", sa.Text()),
        sa.Column("password", sa.Text()),
        sa.Column("oidc_subject", Id),
        sa.Column("admin", sa.Boolean(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_users")),
        sa.UniqueConstraint("oidc_subject", name=op.f("uq_users_oidc_subject")),
    )
    op.create_table(
        "teams",
        sa.Column("name", Id, nullable=False),
        sa.Column("title", sa.Text()),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_teams")),
    )
    op.create_table(
        "team_members",
        sa.Column("team_name", Id, nullable=False),
        sa.Column("user_name", Id, nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["team_name"], ["teams.name"], name=op.f("fk_team_members_team_name")),
        sa.ForeignKeyConstraint(["user_name"], ["users.name"], name=op.f("fk_team_members_user_name")),
        sa.PrimaryKeyConstraint("team_name", "user_name", name=op.f("pk_team_members")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_team_members_user_name", "team_members", ["user_name"])
    op.create_table(
        "tokens",
        sa.Column("id", Id, nullable=False),
        sa.Column("user_name", Id, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger()),
        sa.Column("last_used", sa.BigInteger()),
        sa.Column("revoked", sa.BigInteger()),
        sa.ForeignKeyConstraint(["user_name"], ["users.name"], name=op.f("fk_tokens_user_name")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
    )
    op.create_index("ix_tokens_user_name", "tokens", ["user_name"])
    op.create_table(
        "signing_keys",
        sa.Column("name", Id, nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_signing_keys")),
    )


def downgrade() -> None:
    """Change them back."""
    for name in ("signing_keys", "tokens", "team_members", "teams", "users"):
        op.drop_table(name)
