"""Orders of rollouts as clients of hawkBit's API know them: numbered, offered, cancelled, answered.

What is wanted stands in `wanted_release`; what a client was told stands here. `catch_up` brings the second to
the first whenever the client comes.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from sqlalchemy import or_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, select

from fleet.errors import Gone, NotFound
from fleet.hawkbit.attributes import ask_for_attributes
from fleet.hawkbit.feedback import ENDED, Feedback, Meaning, as_said, meaning_of, meaning_of_cancel
from fleet.rollouts.answers import note_update
from fleet.rollouts.tell import OS
from fleet.store.tables_os import OsAction
from fleet.store.tables_rollouts import WantedRelease

log = logging.getLogger(__name__)

CANCEL_MS: Final = 3_600_000
"""How long a client is asked to let go; old versions of rauc-hawkbit-updater never answer."""
STANDING: Final = ("open", "cancelling", "refused")
"""States of an action that has not ended."""


@dataclass(frozen=True, slots=True)
class ToDo:
    """What a device is to be told.

    Attributes:
        order: what it is to install.
        cancel: what it is to let go.
        installed: what it has installed last.
    """

    order: OsAction | None = None
    cancel: OsAction | None = None
    installed: OsAction | None = None


def catch_up(session: Session, device: str, now_ms: int) -> ToDo:
    """Return what a device is to be told, after its actions were brought to what is wanted.

    What it was never told it need not let go. Commits where something has changed, which is seldom.
    """
    wanted = session.get(WantedRelease, (device, OS))
    known = _actions(session, device, wanted.action if wanted is not None else "")
    stale = [one for one in known if _has_to_change(one, wanted, now_ms)]
    is_new = wanted is not None and not any(_is_of(one, wanted) for one in known)
    if wanted is not None and is_new:
        _number(session, wanted, now_ms)
    for one in stale:
        _take_back(session, one, now_ms)
    if is_new or stale:
        session.commit()
        known = _actions(session, device, wanted.action if wanted is not None else "")
    return ToDo(
        next((one for one in known if one.state == "open" and _is_of(one, wanted)), None),
        next((one for one in known if one.state == "cancelling"), None),
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
    if order.is_fetched:
        return order
    held = hold(session, device, number)
    held.is_fetched = True
    session.add(held)
    session.flush()
    note_update(session, device, "accepted", "", action=held.action, now_ms=now_ms)
    session.commit()
    session.refresh(held)
    return held


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
    meaning = meaning_of(said, is_sent=_was_sent(session, action))
    _conclude(session, action, said, meaning, now_ms)


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


def _was_sent(session: Session, action: OsAction) -> bool:
    """Whether the device was ever sent the whole image, for this action or for one before."""
    query = select(OsAction.id).where(
        OsAction.device == action.device, OsAction.release == action.release, col(OsAction.is_sent)
    )
    return session.exec(query.limit(1)).first() is not None


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


def _is_of(action: OsAction, wanted: WantedRelease | None) -> bool:
    return wanted is not None and action.action == wanted.action


def _has_to_change(action: OsAction, wanted: WantedRelease | None, now_ms: int) -> bool:
    if action.state == "cancelling":
        return now_ms - action.changed_ms > CANCEL_MS
    return action.state == "open" and not _is_of(action, wanted)


def _take_back(session: Session, action: OsAction, now_ms: int) -> None:
    """Let an action be cancelled that is wanted no longer, unless it has ended meanwhile."""
    state = "cancelling" if action.is_fetched else "withdrawn"
    if action.state == "cancelling":
        state = "refused"
    session.execute(
        update(OsAction)
        .where(col(OsAction.id) == action.id, col(OsAction.state) == action.state)
        .where(col(OsAction.is_fetched).is_(action.is_fetched))
        .values(state=state, changed_ms=now_ms)
        .execution_options(synchronize_session=False)
    )
    log.info("os action=%s device=%s state=%s: it is wanted no longer", action.id, action.device, state)


def _actions(session: Session, device: str, wanted: str) -> list[OsAction]:
    """Return the actions of a device that have not ended, and that of an order; the newest first."""
    is_looked_at = or_(col(OsAction.state).in_(STANDING), col(OsAction.action) == wanted)
    query = select(OsAction).where(OsAction.device == device, is_looked_at)
    return list(
        session.exec(query.order_by(col(OsAction.id).desc()).execution_options(populate_existing=True))
    )


def _installed(session: Session, device: str) -> OsAction | None:
    query = select(OsAction).where(OsAction.device == device, OsAction.state == "succeeded")
    return session.exec(query.order_by(col(OsAction.id).desc()).limit(1)).first()


def _number(session: Session, wanted: WantedRelease, now_ms: int) -> None:
    """Give an order its number, once for ever."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    values = OsAction(
        device=wanted.device,
        action=wanted.action,
        release=wanted.release,
        made_ms=now_ms,
        changed_ms=now_ms,
    ).model_dump(exclude={"id"})
    statement = insert(OsAction).values(values)
    session.execute(statement.on_conflict_do_nothing(index_elements=["device", "action"]))
