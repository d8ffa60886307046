"""Who may be a device: claims, enrolments, identities, certificates."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "claim",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("secret_sha256", sa.String(64), nullable=False),
        sa.Column("made_ms", sa.BigInteger(), nullable=False),
        sa.Column("made_by", sa.String(100), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        *_place(),
        sa.Column("device", sa.String(40), nullable=False),
        sa.Column("serial", sa.String(64), nullable=False),
        sa.Column("uses", sa.Integer(), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.Boolean(), nullable=False) for name in _FLAGS),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("secret_sha256"),
    )
    op.create_table(
        "claim_board",
        sa.Column("claim", sa.String(36), nullable=False),
        sa.Column("serial", sa.String(64), nullable=False),
        sa.Column("device", sa.String(40), nullable=False),
        sa.Column("site", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("claim", "serial"),
    )
    op.create_table(
        "enrolment",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("claim", sa.String(36), nullable=False),
        sa.Column("key_sha256", sa.String(64), nullable=False),
        sa.Column("device", sa.String(40), nullable=False),
        *_place(),
        *_board(),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("asked_ms", sa.BigInteger(), nullable=False),
        sa.Column("decided_ms", sa.BigInteger(), nullable=True),
        sa.Column("decided_by", sa.String(100), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("claim", "key_sha256"),
    )
    op.create_table(
        "identity",
        sa.Column("device", sa.String(40), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        *_place(),
        *_board(),
        sa.Column("enrolled_ms", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("device"),
    )
    op.create_table(
        "certificate",
        sa.Column("number", sa.String(40), nullable=False),
        sa.Column("device", sa.String(40), nullable=False),
        sa.Column("key_sha256", sa.String(64), nullable=False),
        sa.Column("pem", sa.Text(), nullable=False),
        sa.Column("begin_ms", sa.BigInteger(), nullable=False),
        sa.Column("end_ms", sa.BigInteger(), nullable=False),
        sa.Column("revoked_ms", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.String(40), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    for table, column in _INDEXES:
        op.create_index(f"ix_{table}_{column}", table, [column])


def downgrade() -> None:
    """Drop them and all that is in them."""
    for table in ("certificate", "identity", "enrolment", "claim_board", "claim"):
        op.drop_table(table)


_FLAGS = ("has_list", "needs_approval", "replaces", "is_cancelled")
_INDEXES = (
    ("enrolment", "claim"),
    ("enrolment", "state"),
    ("identity", "state"),
    ("certificate", "device"),
    ("certificate", "key_sha256"),
    ("certificate", "revoked_ms"),
)


def _place() -> list[sa.Column[str]]:
    return [
        sa.Column("site", sa.String(200), nullable=False),
        sa.Column("timezone", sa.String(60), nullable=False),
    ]


def _board() -> list[sa.Column[str]]:
    return [
        sa.Column("serial", sa.String(64), nullable=False),
        sa.Column("board", sa.String(100), nullable=False),
    ]
