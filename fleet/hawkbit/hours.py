"""When a device may change its operating system: the window of its order, by the clock of its site."""

from __future__ import annotations

from sqlmodel import Session

from fleet.rollouts.tell import OS
from fleet.rollouts.windows import parse_window
from fleet.store.tables import Device
from fleet.store.tables_identity import Identity
from fleet.store.tables_os import OsAction
from fleet.store.tables_rollouts import WantedRelease


def may_begin(session: Session, order: OsAction, now_ms: int) -> bool:
    """Whether an order may be shown to its device; what has begun may end, and be told of, at any time.

    Nothing is offered for download alone: SWUpdate ends what it is to skip, and says that it was a success.
    """
    return order.is_fetched or is_window_open(session, order.device, now_ms) is not False


def is_window_open(session: Session, device: str, now_ms: int) -> bool | None:
    """Whether a device may begin now what is wanted of it; None where it may at any time."""
    wanted = session.get(WantedRelease, (device, OS))
    window = parse_window(wanted.window) if wanted is not None else None
    return None if window is None else window.is_open(now_ms, timezone_of(session, device))


def timezone_of(session: Session, device: str) -> str:
    """Return the timezone of a device's site, as rollouts know it."""
    known = session.get(Device, device)
    said = (known.info or {}).get("timezone") if known is not None else ""
    identity = session.get(Identity, device)
    return str(said or (identity.timezone if identity is not None else "") or "UTC")
