"""Events that amend others, speeds and numbers of crowds; heat maps among the counts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; what is stored already stands for one happening each."""
    op.add_column("event", sa.Column("speed_mps", sa.Float(), nullable=True))
    op.add_column("event", sa.Column("number", sa.BigInteger(), nullable=True))
    op.add_column("event", sa.Column("amends", sa.BigInteger(), nullable=True))
    op.add_column("event", sa.Column("n", sa.BigInteger(), nullable=False, server_default="1"))
    op.add_column("event", sa.Column("until_ms", sa.BigInteger(), nullable=True))
    op.add_column("count", sa.Column("heat", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Drop the columns and what is in them."""
    op.drop_column("count", "heat")
    for name in ("until_ms", "n", "amends", "number", "speed_mps"):
        op.drop_column("event", name)
