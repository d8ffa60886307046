"""First tables: device, event, count, alarm."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    _create_device()
    _create_event()
    _create_count()
    _create_alarm()


def downgrade() -> None:
    """Drop the tables and all that is in them."""
    for table in ("alarm", "count", "event", "device"):
        op.drop_table(table)


def _create_device() -> None:
    op.create_table(
        "device",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("site", sa.String(200), nullable=False),
        sa.Column("is_online", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("reason", sa.String(200), nullable=False),
        sa.Column("session", sa.String(36), nullable=False),
        sa.Column("session_ended", sa.Boolean(), nullable=False),
        sa.Column("status_ms", sa.BigInteger(), nullable=False),
        sa.Column("first_seen_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_seen_ms", sa.BigInteger(), nullable=False),
        sa.Column("offline_ms", sa.BigInteger(), nullable=True),
        sa.Column("events_stored", sa.BigInteger(), nullable=False),
        sa.Column("info_ms", sa.BigInteger(), nullable=False),
        sa.Column("info", sa.JSON(), nullable=True),
        sa.Column("health_ms", sa.BigInteger(), nullable=False),
        sa.Column("health", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_device_site", "device", ["site"])


def _create_event() -> None:
    op.create_table(
        "event",
        sa.Column("device", sa.String(40), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("cam", sa.String(40), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("rule", sa.String(40), nullable=False),
        sa.Column("sev", sa.String(10), nullable=False),
        sa.Column("track", sa.BigInteger(), nullable=True),
        sa.Column("object_class", sa.String(40), nullable=True),
        sa.Column("conf", sa.Float(), nullable=True),
        sa.Column("box_left", sa.Float(), nullable=True),
        sa.Column("box_top", sa.Float(), nullable=True),
        sa.Column("box_right", sa.Float(), nullable=True),
        sa.Column("box_bottom", sa.Float(), nullable=True),
        sa.Column("direction", sa.String(3), nullable=True),
        sa.Column("duration_s", sa.Float(), nullable=True),
        sa.Column("is_hist", sa.Boolean(), nullable=False),
        sa.Column("is_clock_synced", sa.Boolean(), nullable=False),
        sa.Column("ts_ms", sa.BigInteger(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("stored_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("device", "seq"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_event_at", "event", ["at_ms", "device", "seq"])
    op.create_index("ix_event_device_at", "event", ["device", "at_ms", "seq"])


def _create_count() -> None:
    op.create_table(
        "count",
        sa.Column("device", sa.String(40), nullable=False),
        sa.Column("cam", sa.String(40), nullable=False),
        sa.Column("rule", sa.String(40), nullable=False),
        sa.Column("bucket_s", sa.Integer(), nullable=False),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("to_ms", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("is_partial", sa.Boolean(), nullable=False),
        sa.Column("ts_ms", sa.BigInteger(), nullable=False),
        sa.Column("stored_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("device", "cam", "rule", "bucket_s", "from_ms"),
    )
    op.create_index("ix_count_from", "count", ["from_ms"])


def _create_alarm() -> None:
    op.create_table(
        "alarm",
        sa.Column("device", sa.String(40), nullable=False),
        sa.Column("cam", sa.String(40), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("detail", sa.String(200), nullable=False),
        sa.Column("raised_ms", sa.BigInteger(), nullable=False),
        sa.Column("stored_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("device", "cam", "kind"),
    )
