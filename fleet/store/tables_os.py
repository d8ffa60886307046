"""The tables of OS images: their files, what each device was told over hawkBit's API, how it proves itself.

Moments are whole milliseconds since 1970 UTC.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Index, UniqueConstraint
from sqlmodel import Field, SQLModel


class OsImage(SQLModel, table=True):
    """The file of a release of kind `os`.

    Attributes:
        release: id of the release.
        file: name under which devices download it, `camera-1.2.0.swu`.
        sha256: hexadecimal; also its name in the folder of images.
        sha1: hexadecimal, for clients of hawkBit's API, as is `md5`.
        length: in bytes.
    """

    __tablename__ = "os_image"

    release: str = Field(primary_key=True, max_length=36)
    file: str = Field(max_length=120)
    sha256: str = Field(max_length=64, index=True)
    sha1: str = Field(max_length=40)
    md5: str = Field(max_length=32)
    length: int = Field(sa_type=BigInteger)
    made_ms: int = Field(sa_type=BigInteger)


class OsAction(SQLModel, table=True):
    """One order of a rollout as a client of hawkBit's API knows it; rows stay, so that numbers never return.

    Attributes:
        id: the number that the client is told; hawkBit's clients keep it as an integer.
        action: id of the order (`WantedRelease.action`).
        release: id of the release.
        state: `open`, `cancelling` (the client is told to let go), `refused` (it has said that it cannot), or
            how it ended: `succeeded`, `failed`, `cancelled`, `withdrawn`.
        is_fetched: the client has read it, so it may be at it.
        is_sent: the whole image was sent.
        said: the client's last word on it, with what it gave as details.
        made_ms: when it was first offered.
        changed_ms: when its state changed, or the client said something.
    """

    __tablename__ = "os_action"
    __table_args__ = (
        UniqueConstraint("device", "action", name="uq_os_action_order"),
        Index("ix_os_action_state", "device", "state"),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True)
    device: str = Field(max_length=40)
    action: str = Field(max_length=36)
    release: str = Field(max_length=36)
    state: str = Field(default="open", max_length=10)
    is_fetched: bool = False
    is_sent: bool = False
    said: str = Field(default="", max_length=200)
    made_ms: int = Field(sa_type=BigInteger)
    changed_ms: int = Field(sa_type=BigInteger)


class OsDevice(SQLModel, table=True):
    """What a client of hawkBit's API has said of itself.

    Attributes:
        attributes: as it sent them (`configData`).
        is_due: it is to send them again.
    """

    __tablename__ = "os_device"

    device: str = Field(primary_key=True, max_length=40)
    attributes: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    is_due: bool = False
    said_ms: int = Field(sa_type=BigInteger)


class OsToken(SQLModel, table=True):
    """The secret by which a client proves itself where it has no certificate; of a device there is one.

    Attributes:
        hash: SHA-256 of it, hexadecimal.
        made_ms: a board that was enrolled later in the device's place does not have it.
    """

    __tablename__ = "os_token"

    device: str = Field(primary_key=True, max_length=40)
    hash: str = Field(max_length=64)
    made_ms: int = Field(sa_type=BigInteger)
    made_by: str = Field(default="", max_length=100)
