"""What a client of hawkBit's API says of itself: a few names and values, kept and shown, never trusted."""

from __future__ import annotations

from typing import Final, Literal

from sqlalchemy import update
from sqlmodel import Session, col

from fleet.errors import BadQuery
from fleet.store.tables_os import OsDevice

ATTRIBUTES_MAX: Final = 100
Mode = Literal["replace", "merge", "remove"]


def wants_attributes(session: Session, device: str) -> bool:
    """Whether a device is to say what it is: it never has, or something else was installed since."""
    row = session.get(OsDevice, device)
    return row is None or row.is_due


def ask_for_attributes(session: Session, device: str) -> None:
    """Let a device say again what it is; the caller commits."""
    session.execute(update(OsDevice).where(col(OsDevice.device) == device).values(is_due=True))


def put_attributes(
    session: Session, device: str, said: dict[str, str], mode: Mode, now_ms: int
) -> dict[str, str]:
    """Keep what a device says of itself and commit; it need not say it again.

    Raises:
        BadQuery: they are too many.
    """
    row = session.get(OsDevice, device) or OsDevice(device=device, said_ms=now_ms)
    kept = combined(dict(row.attributes), said, mode)
    if len(kept) > ATTRIBUTES_MAX:
        raise BadQuery(f"data: {len(kept)} attributes, of which {ATTRIBUTES_MAX} are kept")
    row.attributes, row.is_due, row.said_ms = kept, False, now_ms
    session.merge(row)
    session.commit()
    return kept


def combined(before: dict[str, str], said: dict[str, str], mode: Mode) -> dict[str, str]:
    """Return attributes after some were said."""
    if mode == "remove":
        return {name: value for name, value in before.items() if name not in said}
    return said if mode == "replace" else before | said
