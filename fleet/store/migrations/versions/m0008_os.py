"""Images of operating systems, and what devices were told over hawkBit's API."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "os_image",
        _text("release", 36),
        _text("file", 120),
        _text("sha256", 64),
        _text("sha1", 40),
        _text("md5", 32),
        _big("length"),
        _big("made_ms"),
        sa.PrimaryKeyConstraint("release"),
    )
    op.create_table(
        "os_action",
        sa.Column("id", sa.Integer(), nullable=False),
        _text("device", 40),
        _text("action", 36),
        _text("release", 36),
        _text("state", 10),
        sa.Column("is_fetched", sa.Boolean(), nullable=False),
        sa.Column("is_sent", sa.Boolean(), nullable=False),
        _text("said", 200),
        _big("made_ms"),
        _big("changed_ms"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("device", "action", name="uq_os_action_order"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "os_device",
        _text("device", 40),
        sa.Column("attributes", sa.JSON(), nullable=False),
        sa.Column("is_due", sa.Boolean(), nullable=False),
        _big("said_ms"),
        sa.PrimaryKeyConstraint("device"),
    )
    op.create_table(
        "os_token",
        _text("device", 40),
        _text("hash", 64),
        _big("made_ms"),
        _text("made_by", 100),
        sa.PrimaryKeyConstraint("device"),
    )
    op.create_index("ix_os_image_sha256", "os_image", ["sha256"])
    op.create_index("ix_os_action_state", "os_action", ["device", "state"])


def downgrade() -> None:
    """Drop them and all that is in them; the files of the images stay."""
    for table in ("os_token", "os_device", "os_action", "os_image"):
        op.drop_table(table)


def _text(name: str, chars: int) -> sa.Column[str]:
    return sa.Column(name, sa.String(chars), nullable=False)


def _big(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False)
