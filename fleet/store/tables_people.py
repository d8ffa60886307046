"""The tables of people: users and their roles, sessions, tokens, log-in delays, the audit log.

No secret is in them: passwords are argon2 hashes; session ids, tokens and recovery codes, which are random,
are SHA-256 hashes. A TOTP secret has to be kept as it is, because the next code is computed from it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Index, Text, UniqueConstraint
from sqlmodel import Field, SQLModel


class User(SQLModel, table=True):
    """Somebody who can log in.

    Attributes:
        id: never used again, so that a new user of an old name inherits nothing.
        name: in small letters.
        password: argon2 in PHC form; None for who logs in by single sign-on only.
        totp_secret: base32; None without TOTP.
        totp_pending: shown to the user, not confirmed by a code yet.
        totp_counter: of the last code that was used; none of it or before is taken again.
        subject: issuer and subject of single sign-on.
    """

    __tablename__ = "account"

    id: str = Field(primary_key=True, max_length=36)
    name: str = Field(max_length=64, unique=True)
    password: str | None = Field(default=None, sa_type=Text)
    totp_secret: str | None = Field(default=None, max_length=64)
    totp_pending: str | None = Field(default=None, max_length=64)
    totp_counter: int = Field(default=0, sa_type=BigInteger)
    subject: str | None = Field(default=None, max_length=500, unique=True)
    is_disabled: bool = False
    made_ms: int = Field(sa_type=BigInteger)


class UserGrant(SQLModel, table=True):
    """A role of a user in a part of the tree of sites."""

    __tablename__ = "account_grant"

    user: str = Field(primary_key=True, max_length=36)
    role: str = Field(primary_key=True, max_length=20)
    site: str = Field(primary_key=True, max_length=200)


class RecoveryCode(SQLModel, table=True):
    """A code that stands in for TOTP once; the row goes when it is used."""

    __tablename__ = "recovery_code"

    hash: str = Field(primary_key=True, max_length=64)
    user: str = Field(max_length=36, index=True)


class LoginSession(SQLModel, table=True):
    """A browser that has logged in.

    Attributes:
        hash: SHA-256 of the id that the cookie holds.
        seen_ms: of the last request, to the minute.
        ended_ms: when it was ended; kept a while, because it tells from where a user is known to come.
    """

    __tablename__ = "login_session"
    __table_args__ = (Index("ix_login_session_user", "user", "made_ms"),)

    hash: str = Field(primary_key=True, max_length=64)
    user: str = Field(max_length=36)
    address: str = Field(default="", max_length=64)
    agent: str = Field(default="", max_length=200)
    made_ms: int = Field(sa_type=BigInteger)
    seen_ms: int = Field(sa_type=BigInteger)
    ended_ms: int | None = Field(default=None, sa_type=BigInteger)


class LoginStep(SQLModel, table=True):
    """A log-in that has begun: the password was right and TOTP is asked, or the provider is.

    Attributes:
        hash: SHA-256 of the random id that the cookie of the step holds.
        data: what the next step needs.
    """

    __tablename__ = "login_step"

    hash: str = Field(primary_key=True, max_length=64)
    kind: str = Field(max_length=10)
    data: dict[str, Any] = Field(sa_type=JSON)
    made_ms: int = Field(sa_type=BigInteger)


class LoginDelay(SQLModel, table=True):
    """Wrong log-ins of a user or from an address.

    Attributes:
        key: `user:NAME`, `user:NAME@ADDRESS`, `user:NAME@SESSION` or `address:ADDRESS`.
        until_ms: no try is looked at before.
    """

    __tablename__ = "login_delay"

    key: str = Field(primary_key=True, max_length=160)
    failures: int = 0
    last_ms: int = Field(sa_type=BigInteger)
    until_ms: int = Field(sa_type=BigInteger)


class ApiToken(SQLModel, table=True):
    """A token for programs.

    Attributes:
        id: the part of it that is shown in lists.
        hash: SHA-256 of the whole.
        permissions: names of `Permission`.
        sites: beginnings of site paths.
    """

    __tablename__ = "api_token"

    id: str = Field(primary_key=True, max_length=16)
    hash: str = Field(max_length=64, unique=True)
    user: str = Field(max_length=36, index=True)
    name: str = Field(max_length=64)
    permissions: list[str] = Field(sa_type=JSON)
    sites: list[str] = Field(sa_type=JSON)
    made_ms: int = Field(sa_type=BigInteger)
    expires_ms: int = Field(sa_type=BigInteger)
    used_ms: int | None = Field(default=None, sa_type=BigInteger)
    revoked_ms: int | None = Field(default=None, sa_type=BigInteger)


class AuditEntry(SQLModel, table=True):
    """One row of the audit log; never changed, never removed.

    Attributes:
        n: 1, 2, 3, ... without a gap.
        detail: canonical JSON.
        previous: hash of the row before; 64 zeros in the first.
        hash: SHA-256 over `previous` and this row (`access/chain.py`).
    """

    __tablename__ = "audit_entry"
    __table_args__ = (
        Index("ix_audit_entry_who", "who", "action", "at_ms"),
        Index("ix_audit_entry_at", "at_ms"),
        UniqueConstraint("previous", name="uq_audit_entry_previous"),
    )

    n: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    at_ms: int = Field(sa_type=BigInteger)
    who: str = Field(max_length=80)
    action: str = Field(max_length=40)
    target: str = Field(max_length=300)
    detail: str = Field(sa_type=Text)
    previous: str = Field(max_length=64)
    hash: str = Field(max_length=64)


class AuditHead(SQLModel, table=True):
    """The end of the log, in one row whose lock makes appends wait for each other."""

    __tablename__ = "audit_head"

    id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    n: int = Field(sa_type=BigInteger)
    hash: str = Field(max_length=64)
