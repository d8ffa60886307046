"""Orders of rollouts as clients of hawkBit's API know them: numbered, offered, cancelled, answered.

What is wanted stands in `wanted_release`; what a client was told stands here. `catch_up` brings the second to
the first whenever the client comes.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, select

from fleet.errors import Gone, NotFound
from fleet.hawkbit.attributes import ask_for_attributes
from fleet.hawkbit.feedback import ENDED, Feedback, Meaning, as_said, meaning_of, meaning_of_cancel
from fleet.rollouts.answers import note_update
from fleet.rollouts.tell import OS
from fleet.rollouts.windows import parse_window
from fleet.store.tables import Device
from fleet.store.tables_identity import Identity
from fleet.store.tables_os import OsAction
from fleet.store.tables_rollouts import RolloutDevice, WantedRelease

log = logging.getLogger(__name__)

STANDING: Final = ("open", "cancelling", "refused")
"""States of an action that has not ended."""


@dataclass(frozen=True, slots=True)
class ToDo:
    """What a device is to be told.

    Attributes:
        order: what it is to install.
        window: when it may, in its site's time; empty for any time.
        cancel: what it is to let go.
        installed: what it has installed last.
    """

    order: OsAction | None = None
    window: str = ""
    cancel: OsAction | None = None
    installed: OsAction | None = None


def catch_up(session: Session, device: str, now_ms: int) -> ToDo:
    """Return what a device is to be told, after its actions were brought to what is wanted; commits.

    What it was never told it need not let go.
    """
    wanted = session.get(WantedRelease, (device, OS))
    standing = _actions(session, device, STANDING)
    if wanted is not None and all(one.action != wanted.action for one in standing):
        standing = [*_number(session, wanted, now_ms), *standing]
    order = next((one for one in standing if wanted is not None and one.action == wanted.action), None)
    for one in standing:
        if one.state == "open" and one is not order:
            _change(session, one, "cancelling" if one.is_fetched else "withdrawn", now_ms)
    session.commit()
    return ToDo(
        order if order is not None and order.state == "open" else None,
        wanted.window if wanted is not None else "",
        next((one for one in standing if one.state == "cancelling"), None),
        _installed(session, device),
    )


def find_order(session: Session, device: str, number: int, now_ms: int) -> OsAction:
    """Return an action that a device is to install.

    Raises:
        NotFound: there is none of that number, or the device is not to install it.
    """
    order = catch_up(session, device, now_ms).order
    if order is None or order.id != number:
        raise NotFound(f"there is nothing to install of the number {number}: poll again")
    return order


def fetch(session: Session, device: str, number: int, now_ms: int) -> OsAction:
    """Return an action that a device is to install, which it has now read.

    Raises:
        NotFound: the device is not to install it.
    """
    order = find_order(session, device, number, now_ms)
    if not order.is_fetched:
        held = hold(session, device, number)
        held.is_fetched = True
        session.add(held)
        note_update(session, device, "accepted", "", action=held.action, now_ms=now_ms)
        session.commit()
        session.refresh(held)
        return held
    return order


def note_sent(session: Session, number: int) -> None:
    """Keep that the whole image was sent; commits."""
    session.execute(update(OsAction).where(col(OsAction.id) == number).values(is_sent=True))
    session.commit()


def take_feedback(session: Session, device: str, number: int, said: Feedback, now_ms: int) -> None:
    """Take in what a device says of an action.

    Raises:
        NotFound: the device has no action of that number.
        Gone: the action has ended.
    """
    action = hold(session, device, number)
    _check_standing(action)
    _conclude(session, action, said, meaning_of(said, is_sent=action.is_sent), now_ms)


def take_cancel_feedback(session: Session, device: str, number: int, said: Feedback, now_ms: int) -> None:
    """Take in what a device says of the wish that it lets go.

    Raises:
        NotFound: the device has no action of that number, or nobody wants it cancelled.
        Gone: the action has ended.
    """
    action = hold(session, device, number)
    _check_standing(action)
    if action.state != "cancelling":
        raise NotFound(f"nobody wants action {number} cancelled")
    _conclude(session, action, said, meaning_of_cancel(said), now_ms)


def find_cancel(session: Session, device: str, number: int, now_ms: int) -> OsAction:
    """Return an action that a device is to let go.

    Raises:
        NotFound: there is none of that number.
    """
    cancel = catch_up(session, device, now_ms).cancel
    if cancel is None or cancel.id != number:
        raise NotFound(f"nobody wants action {number} cancelled")
    return cancel


def find_installed(session: Session, device: str, number: int) -> OsAction:
    """Return what a device has installed last.

    Raises:
        NotFound: that has another number.
    """
    installed = _installed(session, device)
    if installed is None or installed.id != number:
        raise NotFound(f"action {number} is not what was installed last")
    return installed


def window_of(session: Session, device: str) -> str:
    """Return the maintenance window of what a device is to install; empty for any time."""
    wanted = session.get(WantedRelease, (device, OS))
    return wanted.window if wanted is not None else ""


def is_window_open(session: Session, device: str, window: str, now_ms: int) -> bool | None:
    """Whether a device may change now by the clock of its site; None where it may at any time."""
    parsed = parse_window(window)
    return None if parsed is None else parsed.is_open(now_ms, timezone_of(session, device))


def timezone_of(session: Session, device: str) -> str:
    """Return the timezone of a device's site, as rollouts know it."""
    known = session.get(Device, device)
    said = (known.info or {}).get("timezone") if known is not None else ""
    identity = session.get(Identity, device)
    return str(said or (identity.timezone if identity is not None else "") or "UTC")


def hold(session: Session, device: str, number: int) -> OsAction:
    """Return an action that nobody else changes until the transaction ends.

    Raises:
        NotFound: the device has none of that number.
    """
    ours = (col(OsAction.id) == number, col(OsAction.device) == device)
    session.execute(
        update(OsAction).where(*ours).values(state=OsAction.state),
        execution_options={"synchronize_session": False},
    )
    session.expire_all()
    action = session.exec(select(OsAction).where(*ours)).first()
    if action is None:
        raise NotFound(f"there is no action {number} of {device}")
    return action


def _check_standing(action: OsAction) -> None:
    if action.state in ENDED:
        raise Gone(f"action {action.id} has ended ({action.state}): poll again")


def _conclude(session: Session, action: OsAction, said: Feedback, meaning: Meaning, now_ms: int) -> None:
    action.said, action.changed_ms, action.is_fetched = as_said(said), now_ms, True
    if meaning.state:
        _change(session, action, meaning.state, now_ms)
    session.add(action)
    session.flush()
    if meaning.word:
        note_update(session, action.device, meaning.word, meaning.reason, action=action.action, now_ms=now_ms)
    if meaning.state == "succeeded":
        ask_for_attributes(session, action.device)
    session.commit()


def _change(session: Session, action: OsAction, state: str, now_ms: int) -> None:
    action.state, action.changed_ms = state, now_ms
    session.add(action)
    log.info("os action=%s device=%s state=%s said=%r", action.id, action.device, state, action.said)


def _actions(session: Session, device: str, states: Sequence[str]) -> list[OsAction]:
    query = select(OsAction).where(OsAction.device == device, col(OsAction.state).in_(states))
    return list(session.exec(query.order_by(col(OsAction.id).desc())))


def _installed(session: Session, device: str) -> OsAction | None:
    query = select(OsAction).where(OsAction.device == device, OsAction.state == "succeeded")
    return session.exec(query.order_by(col(OsAction.id).desc()).limit(1)).first()


def _number(session: Session, wanted: WantedRelease, now_ms: int) -> list[OsAction]:
    """Give an order its number, once for ever; nothing where it has ended already."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    same = OsAction(
        device=wanted.device,
        action=wanted.action,
        release=wanted.release,
        made_ms=now_ms,
        changed_ms=now_ms,
    )
    values = same.model_dump(exclude={"id"})
    session.execute(
        insert(OsAction).values(values).on_conflict_do_nothing(index_elements=["device", "action"])
    )
    query = select(OsAction).where(OsAction.device == wanted.device, OsAction.action == wanted.action)
    return [one for one in session.exec(query) if one.state in STANDING]
