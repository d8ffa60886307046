"""People: users and roles, sessions, tokens, log-in delays, and the audit log with its empty head."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    _create_users()
    _create_sessions()
    _create_tokens()
    _create_audit()


def downgrade() -> None:
    """Drop the tables and all that is in them."""
    for table in (
        "audit_head",
        "audit_entry",
        "api_token",
        "login_delay",
        "login_step",
        "login_session",
        "recovery_code",
        "account_grant",
        "account",
    ):
        op.drop_table(table)


def _create_users() -> None:
    op.create_table(
        "account",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("password", sa.Text(), nullable=True),
        sa.Column("totp_secret", sa.String(64), nullable=True),
        sa.Column("totp_pending", sa.String(64), nullable=True),
        sa.Column("totp_counter", sa.BigInteger(), nullable=False),
        sa.Column("subject", sa.String(500), nullable=True),
        sa.Column("is_disabled", sa.Boolean(), nullable=False),
        sa.Column("made_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
        sa.UniqueConstraint("subject"),
    )
    op.create_table(
        "account_grant",
        sa.Column("user", sa.String(36), nullable=False),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("site", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("user", "role", "site"),
    )
    op.create_table(
        "recovery_code",
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("user", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("hash"),
    )
    op.create_index("ix_recovery_code_user", "recovery_code", ["user"])


def _create_sessions() -> None:
    op.create_table(
        "login_session",
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("user", sa.String(36), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("agent", sa.String(200), nullable=False),
        sa.Column("made_ms", sa.BigInteger(), nullable=False),
        sa.Column("seen_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("hash"),
    )
    op.create_index("ix_login_session_user", "login_session", ["user", "made_ms"])
    op.create_table(
        "login_step",
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("made_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hash"),
    )
    op.create_table(
        "login_delay",
        sa.Column("key", sa.String(160), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )


def _create_tokens() -> None:
    op.create_table(
        "api_token",
        sa.Column("id", sa.String(16), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("user", sa.String(36), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("permissions", sa.JSON(), nullable=False),
        sa.Column("sites", sa.JSON(), nullable=False),
        sa.Column("made_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("used_ms", sa.BigInteger(), nullable=True),
        sa.Column("revoked_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("hash"),
    )
    op.create_index("ix_api_token_user", "api_token", ["user"])


def _create_audit() -> None:
    op.create_table(
        "audit_entry",
        sa.Column("n", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("who", sa.String(80), nullable=False),
        sa.Column("action", sa.String(40), nullable=False),
        sa.Column("target", sa.String(300), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("n"),
        sa.UniqueConstraint("previous", name="uq_audit_entry_previous"),
    )
    op.create_index("ix_audit_entry_who", "audit_entry", ["who", "action", "at_ms"])
    op.create_index("ix_audit_entry_at", "audit_entry", ["at_ms"])
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.execute(f"INSERT INTO audit_head (id, n, hash) VALUES (1, 0, '{'0' * 64}')")  # noqa: S608
