"""Documents that say more than a configuration, which of them are to be told, and what updaters say."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the columns; every document is told anew."""
    op.add_column("device", sa.Column("update_ms", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("device", sa.Column("update", sa.JSON(), nullable=True))
    op.add_column("desired", sa.Column("config_seq", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("desired", sa.Column("is_due", sa.Boolean(), nullable=False, server_default=sa.true()))
    op.execute("UPDATE desired SET config_seq = seq")
    # as the queries have it, or SQLite does not see that the index answers them
    sqlite, postgresql = sa.text("is_due = 1"), sa.text("is_due")
    op.create_index("ix_desired_due", "desired", ["device"], sqlite_where=sqlite, postgresql_where=postgresql)


def downgrade() -> None:
    """Drop them and all that is in them; documents without a configuration go."""
    op.execute("DELETE FROM desired WHERE sha256 = ''")
    op.drop_index("ix_desired_due", "desired")
    for table, columns in (("desired", ("is_due", "config_seq")), ("device", ("update", "update_ms"))):
        with op.batch_alter_table(table) as batch:
            for column in columns:
                batch.drop_column(column)
