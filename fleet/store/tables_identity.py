"""The tables of who may be a device: claims, enrolments, identities, certificates.

No secret stands here: of a claim only the digest is kept. Moments are whole milliseconds since 1970 UTC.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Text, UniqueConstraint
from sqlmodel import Field, SQLModel


class Claim(SQLModel, table=True):
    """Who may enrol.

    Attributes:
        secret_sha256: of the secret that a ticket carries, hexadecimal.
        site: where its devices hang, or anywhere below. Empty for anywhere.
        device: id of the one device that it is for; empty for any.
        serial: of the one board that it is for; empty for any.
        uses: how many boards may enrol with it.
        used: how many have.
        has_list: only boards of `ClaimBoard` may enrol.
        needs_approval: an administrator must agree to each board.
        replaces: the board takes over from the device of that id, whose certificates end.
    """

    __tablename__ = "claim"

    id: str = Field(primary_key=True, max_length=36)
    secret_sha256: str = Field(max_length=64, unique=True)
    made_ms: int = Field(sa_type=BigInteger)
    made_by: str = Field(default="", max_length=100)
    expires_ms: int = Field(sa_type=BigInteger)
    site: str = Field(default="", max_length=200)
    timezone: str = Field(default="UTC", max_length=60)
    device: str = Field(default="", max_length=40)
    serial: str = Field(default="", max_length=64)
    uses: int = 1
    used: int = 0
    has_list: bool = False
    needs_approval: bool = False
    replaces: bool = False
    is_cancelled: bool = False


class ClaimBoard(SQLModel, table=True):
    """One board of a list that was authorised beforehand."""

    __tablename__ = "claim_board"

    claim: str = Field(primary_key=True, max_length=36)
    serial: str = Field(primary_key=True, max_length=64)
    device: str = Field(default="", max_length=40)
    site: str = Field(default="", max_length=200)


class Enrolment(SQLModel, table=True):
    """One board that asked to be let in; the same claim and key is the same enrolment.

    Attributes:
        key_sha256: of the board's public key, hexadecimal.
        state: `waiting`, `approved`, `refused` or `enrolled`.
    """

    __tablename__ = "enrolment"
    __table_args__ = (UniqueConstraint("claim", "key_sha256"),)

    id: str = Field(primary_key=True, max_length=36)
    claim: str = Field(max_length=36, index=True)
    key_sha256: str = Field(max_length=64)
    device: str = Field(max_length=40)
    site: str = Field(default="", max_length=200)
    timezone: str = Field(default="UTC", max_length=60)
    serial: str = Field(default="", max_length=64)
    board: str = Field(default="", max_length=100)
    state: str = Field(max_length=20, index=True)
    asked_ms: int = Field(sa_type=BigInteger)
    decided_ms: int | None = Field(default=None, sa_type=BigInteger)
    decided_by: str = Field(default="", max_length=100)


class Identity(SQLModel, table=True):
    """One device that was let in.

    Attributes:
        state: `active`, `leaving` (told to wipe itself), `retired` or `revoked`.
        since_ms: since when it is in this state.
    """

    __tablename__ = "identity"

    device: str = Field(primary_key=True, max_length=40)
    state: str = Field(max_length=20, index=True)
    since_ms: int = Field(sa_type=BigInteger)
    site: str = Field(default="", max_length=200)
    timezone: str = Field(default="UTC", max_length=60)
    serial: str = Field(default="", max_length=64)
    board: str = Field(default="", max_length=100)
    enrolled_ms: int = Field(sa_type=BigInteger)
    reason: str = Field(default="", max_length=200)


class Certificate(SQLModel, table=True):
    """One certificate of a device.

    Attributes:
        number: its serial number, hexadecimal.
        revoked_ms: since when it is no longer trusted; None while it is.
        reason: why, a word of RFC 5280 (`superseded`, `keyCompromise`, ...).
    """

    __tablename__ = "certificate"

    number: str = Field(primary_key=True, max_length=40)
    device: str = Field(max_length=40, index=True)
    key_sha256: str = Field(max_length=64, index=True)
    pem: str = Field(sa_type=Text)
    begin_ms: int = Field(sa_type=BigInteger)
    end_ms: int = Field(sa_type=BigInteger)
    revoked_ms: int | None = Field(default=None, sa_type=BigInteger, index=True)
    reason: str = Field(default="", max_length=40)
