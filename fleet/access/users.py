"""Users: made, given roles, disabled, removed; one owner who can log in by password always remains.

Each function is one change: it takes a session, writes the audit log and commits. The same change again
changes nothing and is not logged twice.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine
from sqlmodel import Session, col, delete, select

from fleet.access import audit, lockout
from fleet.access.caller import SITE_CHARS, SYSTEM, Caller, Grant, site_prefix
from fleet.access.passwords import check_password, hash_password, is_outdated, is_password
from fleet.access.roles import Role, role_of
from fleet.access.sessions import end_all_sessions, grants_of
from fleet.access.words import user_name
from fleet.errors import BadInput, Conflict, Forbidden, NotFound
from fleet.store.tables_people import ApiToken, RecoveryCode, User, UserGrant
from ota.messages import new_id

GRANTS_MAX: Final = 50


@dataclass(frozen=True, slots=True)
class Person:
    """A user as lists show him.

    Attributes:
        waits_until_ms: until when log-ins from unknown places wait; 0 if they do not.
    """

    name: str
    grants: tuple[Grant, ...]
    is_disabled: bool
    has_password: bool
    has_totp: bool
    is_single_sign_on: bool
    made_ms: int
    waits_until_ms: int


def create_owner(engine: Engine, name: str, password: str) -> None:
    """Make the first owner of a fleet.

    Raises:
        BadInput: the name or the password may not be chosen.
        Conflict: the fleet has a user already.
    """
    with Session(engine) as session:
        audit.hold(session)
        if session.exec(select(User.id).limit(1)).first() is not None:
            raise Conflict("this fleet has users already: `pehra fleet user add` makes more")
        add_user(session, SYSTEM, name, password, [Grant(Role.OWNER)], now_ms=_now_ms())


def add_user(
    session: Session, caller: Caller, name: str, password: str, grants: Iterable[Grant], *, now_ms: int
) -> User:
    """Make a user who logs in with a password.

    Raises:
        BadInput: the name, the password or a grant may not be.
        Conflict: there is a user of that name.
    """
    name = user_name(name)
    check_password(password, name)
    kept = hash_password(password)
    audit.hold(session)
    if _find(session, name) is not None:
        raise Conflict(f"there is a user {name} already")
    user = User(id=new_id(), name=name, password=kept, made_ms=now_ms)
    session.add(user)
    session.flush()
    given = write_grants(session, user.id, grants)
    audit.record(session, caller, "user.add", name, {"grants": _said(given)}, at_ms=now_ms)
    session.commit()
    session.refresh(user)
    return user


def set_grants(session: Session, caller: Caller, name: str, grants: Iterable[Grant], *, now_ms: int) -> None:
    """Give a user exactly these roles.

    Raises:
        NotFound: there is no such user.
        Conflict: the last owner would be none any more.
    """
    audit.hold(session)
    user = get_user(session, name)
    before, wanted = grants_of(session, user.id), tuple(sorted(set(grants)))
    if before == wanted:
        session.rollback()
        return
    if Grant(Role.OWNER) in before and Grant(Role.OWNER) not in wanted:
        _keep_an_owner(session, user)
    given = write_grants(session, user.id, wanted)
    detail = {"grants": _said(given), "before": _said(before)}
    audit.record(session, caller, "user.grant", user.name, detail, at_ms=now_ms)
    session.commit()


def disable_user(session: Session, caller: Caller, name: str, *, now_ms: int) -> None:
    """Let a user in no more and end all sessions; tokens stop with him.

    Raises:
        NotFound: there is no such user.
        Conflict: it is the last owner.
    """
    audit.hold(session)
    user = get_user(session, name)
    if user.is_disabled:
        session.rollback()
        return
    _keep_an_owner(session, user)
    user.is_disabled = True
    session.add(user)
    end_all_sessions(session, user.id, now_ms)
    audit.record(session, caller, "user.disable", user.name, at_ms=now_ms)
    session.commit()


def enable_user(session: Session, caller: Caller, name: str, *, now_ms: int) -> None:
    """Let a disabled user in again.

    Raises:
        NotFound: there is no such user.
    """
    audit.hold(session)
    user = get_user(session, name)
    if not user.is_disabled:
        session.rollback()
        return
    user.is_disabled = False
    session.add(user)
    audit.record(session, caller, "user.enable", user.name, at_ms=now_ms)
    session.commit()


def remove_user(session: Session, caller: Caller, name: str, *, now_ms: int) -> None:
    """Remove a user with roles, tokens and sessions; what he did stays in the audit log.

    Raises:
        NotFound: there is no such user.
        Conflict: it is the last owner.
    """
    audit.hold(session)
    user = get_user(session, name)
    _keep_an_owner(session, user)
    end_all_sessions(session, user.id, now_ms)
    for table in (UserGrant, ApiToken, RecoveryCode):
        session.execute(delete(table).where(col(table.user) == user.id))
    session.delete(user)
    audit.record(session, caller, "user.remove", user.name, at_ms=now_ms)
    session.commit()


def reset_password(session: Session, caller: Caller, name: str, password: str, *, now_ms: int) -> None:
    """Set a user's password and end all his sessions.

    Raises:
        NotFound: there is no such user.
        BadInput: the password may not be chosen.
        Conflict: the user logs in by single sign-on.
    """
    user = get_user(session, name)
    if user.subject is not None:
        raise Conflict(f"{user.name} logs in by single sign-on and has no password here")
    check_password(password, user.name)
    kept = hash_password(password)
    audit.hold(session)
    _set_password(session, user, kept, now_ms)
    audit.record(session, caller, "user.password", user.name, at_ms=now_ms)
    session.commit()


def change_password(session: Session, caller: Caller, old: str, new: str, *, now_ms: int) -> None:
    """Set the caller's own password and end all his sessions, this one too.

    Raises:
        Forbidden: the old password is wrong.
        BadInput: the new one may not be chosen.
        TooManyTries: the old one was wrong too often.
    """
    user = get_user(session, caller.name)
    check_password(new, user.name)
    prove_password(session, user, old, now_ms)
    if old == new:
        raise BadInput("the new password is the old one: choose another")
    kept = hash_password(new)
    audit.hold(session)
    _set_password(session, user, kept, now_ms)
    audit.record(session, caller, "user.password", user.name, at_ms=now_ms)
    session.commit()


def prove_password(session: Session, user: User, password: str, now_ms: int) -> None:
    """Ask who is logged in for the password again; wrong ones count like wrong log-ins.

    Raises:
        Forbidden: it is wrong.
        TooManyTries: it was wrong too often.
    """
    keys = (f"user:{user.name}@own",)
    lockout.take_try(session, keys, now_ms)
    if not is_password(user.password, password):
        audit.record(session, user.name, "password.refused", user.name, at_ms=now_ms)
        session.commit()
        raise Forbidden("the password is wrong")
    lockout.give_back(session, keys, now_ms)
    session.commit()


def renew_hash(session: Session, user: User, password: str) -> None:
    """Hash a password anew that was just proved, when parameters have risen since. The caller commits."""
    if user.password is not None and is_outdated(user.password):
        user.password = hash_password(password)
        session.add(user)


def unlock_user(session: Session, caller: Caller, name: str, *, now_ms: int) -> None:
    """Forget the wrong log-ins of a user, so that he may try at once.

    Raises:
        NotFound: there is no such user.
    """
    user = get_user(session, name)
    lockout.unlock(session, user.name)
    audit.record(session, caller, "user.unlock", user.name, at_ms=now_ms)
    session.commit()


def reset_totp(session: Session, caller: Caller, name: str, *, now_ms: int) -> None:
    """Take TOTP and recovery codes from a user who has lost them, and end all his sessions.

    Raises:
        NotFound: there is no such user.
    """
    audit.hold(session)
    user = get_user(session, name)
    if user.totp_secret is None and user.totp_pending is None:
        session.rollback()
        return
    user.totp_secret = user.totp_pending = None
    session.add(user)
    session.execute(delete(RecoveryCode).where(col(RecoveryCode.user) == user.id))
    end_all_sessions(session, user.id, now_ms)
    audit.record(session, caller, "user.totp-reset", user.name, at_ms=now_ms)
    session.commit()


def show_user(session: Session, user: User, now_ms: int) -> Person:
    """Return one user as lists show him."""
    waits_ms = lockout.waiting_until_ms(session, user.name, now_ms)
    return person_of(user, grants_of(session, user.id), waits_ms)


def person_of(user: User, grants: tuple[Grant, ...], waits_until_ms: int) -> Person:
    """Return a user with what belongs to him."""
    return Person(
        name=user.name,
        grants=grants,
        is_disabled=user.is_disabled,
        has_password=user.password is not None,
        has_totp=user.totp_secret is not None,
        is_single_sign_on=user.subject is not None,
        made_ms=user.made_ms,
        waits_until_ms=waits_until_ms,
    )


def get_user(session: Session, name: str) -> User:
    """Return a user by name.

    Raises:
        NotFound: there is no such user.
    """
    try:
        found = _find(session, user_name(name))
    except BadInput:
        found = None
    if found is None:
        raise NotFound("there is no user of that name")
    return found


def grant_of(text: str) -> Grant:
    """Return the grant that `ROLE` or `ROLE@SITE` names.

    Raises:
        BadInput: no such role, or no site.
    """
    role, _, site = text.partition("@")
    return Grant(role_of(role.strip()), site_prefix(site[: SITE_CHARS + 1]))


def _find(session: Session, name: str) -> User | None:
    return session.exec(select(User).where(col(User.name) == name)).first()


def _set_password(session: Session, user: User, kept: str, now_ms: int) -> None:
    user.password = kept
    session.add(user)
    end_all_sessions(session, user.id, now_ms)
    lockout.unlock(session, user.name)


def write_grants(session: Session, user_id: str, grants: Iterable[Grant]) -> tuple[Grant, ...]:
    """Replace a user's grants; the caller has decided that it may be, logs it and commits."""
    wanted = tuple(sorted(set(grants)))
    if len(wanted) > GRANTS_MAX:
        raise BadInput(f"a user has at most {GRANTS_MAX} roles")
    session.execute(delete(UserGrant).where(col(UserGrant.user) == user_id))
    session.add_all(UserGrant(user=user_id, role=str(one.role), site=one.site) for one in wanted)
    session.flush()
    return wanted


def _keep_an_owner(session: Session, leaving: User) -> None:
    """Refuse that the last owner who can log in with a password goes."""
    owners = session.exec(
        select(User.id)
        .join(UserGrant, col(UserGrant.user) == col(User.id))
        .where(
            col(UserGrant.role) == str(Role.OWNER),
            col(UserGrant.site) == "",
            col(User.is_disabled).is_(False),
            col(User.password).is_not(None),
        )
    ).all()
    if leaving.id in owners and len(owners) == 1:
        session.rollback()
        raise Conflict("this is the last owner: make another one first")


def _said(grants: Iterable[Grant]) -> str:
    return " ".join(map(str, grants))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
