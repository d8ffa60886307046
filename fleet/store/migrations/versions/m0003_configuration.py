"""The configuration that is wanted of each device, and what the device says of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table and the columns."""
    op.add_column("device", sa.Column("reported_ms", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("device", sa.Column("reported", sa.JSON(), nullable=True))
    op.create_table(
        "desired",
        sa.Column("device", sa.String(40), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("action", sa.String(36), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("overlay", sa.Text(), nullable=False),
        sa.Column("made_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("device"),
    )


def downgrade() -> None:
    """Drop them and all that is in them."""
    op.drop_table("desired")
    with op.batch_alter_table("device") as device:
        device.drop_column("reported")
        device.drop_column("reported_ms")
