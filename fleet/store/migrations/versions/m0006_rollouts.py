"""What can be installed, who is to get it, and how far each device is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "release",
        _text("id", 36),
        _text("kind", 10),
        _text("name", 100),
        _text("version", 60),
        _text("path", 200),
        _text("sha256", 64),
        _text("mark", 64),
        _big("length"),
        sa.Column("hw", sa.JSON(), nullable=False),
        _big("sec_ver"),
        sa.Column("custom", sa.JSON(), nullable=False),
        _text("state", 10),
        _big("made_ms"),
        _text("made_by", 100),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("kind", "name", "version", name="uq_release_name"),
    )
    op.create_table(
        "rollout",
        _text("id", 36),
        _text("name", 100),
        _text("release", 36),
        _text("kind", 10),
        sa.Column("filter", sa.Text(), nullable=False),
        _text("stages", 200),
        sa.Column("settings", sa.JSON(), nullable=False),
        _text("state", 10),
        sa.Column("stage", sa.Integer(), nullable=False),
        _big("run_ms"),
        _big("seen_ms"),
        _big("stage_run_ms"),
        sa.Column("quiet_run_ms", sa.BigInteger(), nullable=True),
        sa.Column("round", sa.Integer(), nullable=False),
        _text("why", 400),
        _big("made_ms"),
        *(_text(name, 100) for name in ("made_by", "approved_by", "changed_by")),
        _text("made_by_id", 36),
        _big("started_ms"),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "rollout_device",
        _text("rollout", 36),
        _text("device", 40),
        _text("state", 12),
        _text("reason", 200),
        sa.Column("stage", sa.Integer(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        _big("rank"),
        _text("timezone", 60),
        _text("before", 200),
        _text("action", 36),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("due_run_ms", sa.BigInteger(), nullable=True),
        _big("changed_ms"),
        sa.PrimaryKeyConstraint("rollout", "device"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "wanted_release",
        _text("device", 40),
        _text("kind", 10),
        _text("release", 36),
        _text("rollout", 36),
        _text("action", 36),
        _text("window", 100),
        _big("since_ms"),
        sa.PrimaryKeyConstraint("device", "kind"),
    )
    op.create_table(
        "device_tag",
        _text("device", 40),
        _text("tag", 40),
        sa.PrimaryKeyConstraint("device", "tag"),
    )
    for table, name, columns in _INDEXES:
        op.create_index(f"ix_{table}_{name}", table, columns)


def downgrade() -> None:
    """Drop them and all that is in them."""
    for table in ("device_tag", "wanted_release", "rollout_device", "rollout", "release"):
        op.drop_table(table)


_INDEXES: tuple[tuple[str, str, list[str]], ...] = (
    ("release", "mark", ["kind", "mark"]),
    ("rollout", "release", ["release"]),
    ("rollout", "state", ["state"]),
    ("rollout_device", "line", ["rollout", "state", "rank"]),
    ("rollout_device", "tally", ["rollout", "stage", "state", "round"]),
    ("rollout_device", "device", ["device", "state"]),
    ("wanted_release", "rollout", ["rollout"]),
    ("device_tag", "tag", ["tag"]),
)


def _text(name: str, chars: int) -> sa.Column[str]:
    return sa.Column(name, sa.String(chars), nullable=False)


def _big(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False)
