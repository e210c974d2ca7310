"""First tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

revision = "r0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the tables."""
    op.create_table(
        "alerts",
        sa.Column("alert_id", Id, nullable=False),
        sa.Column("stream", Id, nullable=False),
        sa.Column("object_id", Id, nullable=True),
        sa.Column("time", sa.BigInteger(), nullable=True),
        sa.Column("ra", sa.Float(precision=53), nullable=True),
        sa.Column("dec", sa.Float(precision=53), nullable=True),
        sa.Column("ra_dec_error", sa.Float(precision=53), nullable=True),
        sa.Column("containment_probability", sa.Float(precision=53), nullable=True),
        sa.Column("hpx", sa.BigInteger(), nullable=True),
        sa.Column("mag", sa.Float(precision=53), nullable=True),
        sa.Column("mag_err", sa.Float(precision=53), nullable=True),
        sa.Column("band", sa.Text(), nullable=True),
        sa.Column("reliability", sa.Float(precision=53), nullable=True),
        sa.Column("positive", sa.Boolean(), nullable=True),
        sa.Column("event_name", Id, nullable=True),
        sa.Column("messenger", sa.Text(), nullable=True),
        sa.Column("mission", sa.Text(), nullable=True),
        sa.Column("instrument", sa.Text(), nullable=True),
        sa.Column("alert_type", sa.Text(), nullable=True),
        sa.Column("alert_tense", sa.Text(), nullable=True),
        sa.Column("far", sa.Float(precision=53), nullable=True),
        sa.Column("p_astro", sa.Float(precision=53), nullable=True),
        sa.Column("classification", sa.Text(), nullable=True),
        sa.Column("sort_time", sa.BigInteger(), nullable=False),
        sa.Column("annotations", sa.JSON(), nullable=True),
        sa.Column("skymaps", sa.JSON(), nullable=True),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("unit", sa.Integer(), nullable=False),
        sa.Column("archive_file", sa.Text(), nullable=True),
        sa.Column("archive_offset", sa.BigInteger(), nullable=True),
        sa.Column("archive_length", sa.BigInteger(), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=True),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("processed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("alert_id", name=op.f("pk_alerts")),
    )
    with op.batch_alter_table("alerts", schema=None) as batch_op:
        batch_op.create_index("ix_alerts_hpx", ["hpx"], unique=False)
        batch_op.create_index("ix_alerts_object_id", ["object_id"], unique=False)
        batch_op.create_index("ix_alerts_stream_time", ["stream", "sort_time", "alert_id"], unique=False)
        batch_op.create_index("ix_alerts_time", ["sort_time", "alert_id"], unique=False)

    op.create_table(
        "claims",
        sa.Column("alert_id", Id, nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("alert_id", name=op.f("pk_claims")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "counters",
        sa.Column("name", Id, nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_counters")),
    )
    op.create_table(
        "events",
        sa.Column("event_name", Id, nullable=False),
        sa.Column("stream", Id, nullable=False),
        sa.Column("messenger", sa.Text(), nullable=True),
        sa.Column("mission", sa.Text(), nullable=True),
        sa.Column("instrument", sa.Text(), nullable=True),
        sa.Column("time", sa.BigInteger(), nullable=True),
        sa.Column("ra", sa.Float(precision=53), nullable=True),
        sa.Column("dec", sa.Float(precision=53), nullable=True),
        sa.Column("ra_dec_error", sa.Float(precision=53), nullable=True),
        sa.Column("containment_probability", sa.Float(precision=53), nullable=True),
        sa.Column("alert_type", sa.Text(), nullable=True),
        sa.Column("alert_tense", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("far", sa.Float(precision=53), nullable=True),
        sa.Column("p_astro", sa.Float(precision=53), nullable=True),
        sa.Column("classification", sa.Text(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("alert_id", Id, nullable=False),
        sa.Column("map_path", sa.Text(), nullable=True),
        sa.Column("map_revision", sa.Integer(), nullable=True),
        sa.Column("area50", sa.Float(precision=53), nullable=True),
        sa.Column("area90", sa.Float(precision=53), nullable=True),
        sa.Column("distmean", sa.Float(precision=53), nullable=True),
        sa.Column("diststd", sa.Float(precision=53), nullable=True),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("event_name", name=op.f("pk_events")),
    )
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.create_index("ix_events_time", ["time"], unique=False)
        batch_op.create_index("ix_events_updated", ["updated", "event_name"], unique=False)

    op.create_table(
        "ledger",
        sa.Column("topic", Id, nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("first_offset", sa.BigInteger(), nullable=False),
        sa.Column("last_offset", sa.BigInteger(), nullable=False),
        sa.Column("stream", Id, nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("published", sa.BigInteger(), nullable=False),
        sa.Column("duplicate", sa.BigInteger(), nullable=False),
        sa.Column("rejected", sa.BigInteger(), nullable=False),
        sa.Column("matched", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition", "first_offset", name=op.f("pk_ledger")),
    )
    op.create_table(
        "schemas_seen",
        sa.Column("stream", Id, nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("schema", sa.Text(), nullable=False),
        sa.Column("how", sa.Text(), nullable=False),
        sa.Column("first_seen", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("stream", "fingerprint", name=op.f("pk_schemas_seen")),
    )
    op.create_table(
        "event_notices",
        sa.Column("event_name", Id, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("alert_id", Id, nullable=False),
        sa.Column("stream", Id, nullable=False),
        sa.Column("messenger", sa.Text(), nullable=True),
        sa.Column("mission", sa.Text(), nullable=True),
        sa.Column("instrument", sa.Text(), nullable=True),
        sa.Column("time", sa.BigInteger(), nullable=True),
        sa.Column("ra", sa.Float(precision=53), nullable=True),
        sa.Column("dec", sa.Float(precision=53), nullable=True),
        sa.Column("ra_dec_error", sa.Float(precision=53), nullable=True),
        sa.Column("containment_probability", sa.Float(precision=53), nullable=True),
        sa.Column("alert_type", sa.Text(), nullable=True),
        sa.Column("alert_tense", sa.Text(), nullable=True),
        sa.Column("far", sa.Float(precision=53), nullable=True),
        sa.Column("p_astro", sa.Float(precision=53), nullable=True),
        sa.Column("classification", sa.Text(), nullable=True),
        sa.Column("map_path", sa.Text(), nullable=True),
        sa.Column("area50", sa.Float(precision=53), nullable=True),
        sa.Column("area90", sa.Float(precision=53), nullable=True),
        sa.Column("distmean", sa.Float(precision=53), nullable=True),
        sa.Column("diststd", sa.Float(precision=53), nullable=True),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["event_name"], ["events.event_name"], name=op.f("fk_event_notices_event_name"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("event_name", "revision", name=op.f("pk_event_notices")),
        sa.UniqueConstraint("alert_id", name=op.f("uq_event_notices_alert_id")),
    )
    op.create_table(
        "matches",
        sa.Column("seq", Serial, sa.Identity(always=False), nullable=False),
        sa.Column("filter", Id, nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("alert_id", Id, nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["alert_id"], ["alerts.alert_id"], name=op.f("fk_matches_alert_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_matches")),
        sa.UniqueConstraint("alert_id", "filter", "version", name=op.f("uq_matches_alert_id")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("matches", schema=None) as batch_op:
        batch_op.create_index("ix_matches_filter_seq", ["filter", "seq"], unique=False)


def downgrade() -> None:
    """Undo it."""
    with op.batch_alter_table("matches", schema=None) as batch_op:
        batch_op.drop_index("ix_matches_filter_seq")

    op.drop_table("matches")
    op.drop_table("event_notices")
    op.drop_table("schemas_seen")
    op.drop_table("ledger")
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.drop_index("ix_events_updated")
        batch_op.drop_index("ix_events_time")

    op.drop_table("events")
    op.drop_table("counters")
    op.drop_table("claims")
    with op.batch_alter_table("alerts", schema=None) as batch_op:
        batch_op.drop_index("ix_alerts_time")
        batch_op.drop_index("ix_alerts_stream_time")
        batch_op.drop_index("ix_alerts_object_id")
        batch_op.drop_index("ix_alerts_hpx")

    op.drop_table("alerts")
