"""How one gets in: password, then a code where TOTP is on; every try is counted first and logged.

An unknown user costs the same time and gets the same answer as a wrong password.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NoReturn

from sqlalchemy import update
from sqlmodel import Session, col, delete, select

from fleet.access import audit, lockout
from fleet.access.caller import Caller
from fleet.access.passwords import is_password
from fleet.access.places import network_of
from fleet.access.secrets import hash_of, new_secret
from fleet.access.sessions import end_session, is_known_place, marked_session, open_session
from fleet.access.totp import matching_counter, recovery_word
from fleet.access.users import renew_hash
from fleet.access.words import user_name
from fleet.errors import BadInput, NotLoggedIn
from fleet.store.tables_people import LoginStep, RecoveryCode, User

STEP_S: Final = 300
REPEAT_S: Final = 10
WRONG: Final = "the name or the password is wrong"
WRONG_CODE: Final = "the code is wrong or was used before: wait for the next one"


@dataclass(frozen=True, slots=True)
class Visit:
    """Where somebody knocks, and when.

    Attributes:
        mark: that an earlier log-in left in this browser; empty without.
    """

    address: str
    agent: str
    now_ms: int
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Entered:
    """Somebody is in; the secret is for the session's cookie."""

    secret: str
    name: str


@dataclass(frozen=True, slots=True)
class NeedsCode:
    """The password was right and a code is asked; the secret is for the step's cookie."""

    secret: str


def log_in(
    session: Session, name: str, password: str, visit: Visit, *, code: str = ""
) -> Entered | NeedsCode:
    """Look at a name and a password.

    Args:
        session: to work with; committed.
        name: as typed.
        password: as typed.
        visit: from where.
        code: of TOTP, where it is sent along.

    Raises:
        NotLoggedIn: wrong, whatever of it.
        TooManyTries: too early after wrong ones.
    """
    user, keys = _user_and_keys(session, name, visit)
    lockout.take_try(session, keys, visit.now_ms)
    is_right = is_password(user.password if user else None, password)
    if user is None or not is_right or user.is_disabled:
        _refuse(session, user, visit, WRONG)
    if user.totp_secret is None:
        renew_hash(session, user, password)
        return _enter(session, user, visit, keys, "password")
    if code:
        _check_code(session, user, code, visit)
        return _enter(session, user, visit, keys, "password and code")
    lockout.ease(session, keys, visit.now_ms)
    step = open_step(session, "totp", {"user": user.id}, visit.now_ms)
    session.commit()
    return NeedsCode(step)


def give_code(session: Session, step: str, code: str, visit: Visit) -> Entered:
    """Look at the code that was asked after a good password.

    The same code again within seconds, from the same browser, is a second click: its session takes the place
    of the first.

    Raises:
        NotLoggedIn: the code is wrong or used, or the password was given too long ago.
        TooManyTries: too early after wrong ones.
    """
    found = find_step(session, step, "totp", visit.now_ms)
    user = session.get(User, found.data["user"])
    if user is None or user.is_disabled or user.totp_secret is None:
        raise NotLoggedIn("log in again")
    _, keys = _user_and_keys(session, user.name, visit)
    if _is_second_click(found.data, code, visit.now_ms):
        end_session(session, found.data["session"], visit.now_ms)
    else:
        lockout.take_try(session, keys, visit.now_ms)
        _check_code(session, user, code, visit)
    entered = _enter(session, user, visit, keys, "password and code")
    done = {"code": hash_of(code), "session": hash_of(entered.secret), "done_ms": visit.now_ms}
    session.execute(
        update(LoginStep).where(col(LoginStep.hash) == hash_of(step)).values(data=found.data | done)
    )
    session.commit()
    return entered


def log_out(session: Session, caller: Caller, now_ms: int) -> None:
    """End the caller's session and commit; again changes nothing."""
    if caller.session:
        end_session(session, caller.session, now_ms)
        audit.record(session, caller, "login.out", caller.name, at_ms=now_ms)
    session.commit()


def enter_by_provider(session: Session, user: User, visit: Visit) -> Entered:
    """Let in whom the single sign-on provider vouches for; the caller has checked that. Commits."""
    return _enter(session, user, visit, (f"address:{network_of(visit.address)}",), "single sign-on")


def open_step(session: Session, kind: str, data: dict[str, Any], now_ms: int) -> str:
    """Remember what the next step needs; returns the secret for its cookie. The caller commits."""
    session.exec(delete(LoginStep).where(col(LoginStep.made_ms) < now_ms - STEP_S * 1000))
    secret = new_secret()
    session.add(LoginStep(hash=hash_of(secret), kind=kind, data=data, made_ms=now_ms))
    session.flush()
    return secret


def find_step(session: Session, secret: str, kind: str, now_ms: int) -> LoginStep:
    """Return what was remembered.

    Raises:
        NotLoggedIn: there is none, it is of another kind, or too old.
    """
    found = session.get(LoginStep, hash_of(secret)) if secret else None
    if found is None or found.kind != kind or not -STEP_S * 1000 < now_ms - found.made_ms < STEP_S * 1000:
        raise NotLoggedIn("this log-in took too long: begin again")
    return found


def take_step(session: Session, secret: str, kind: str, now_ms: int) -> dict[str, Any]:
    """Return what was remembered and forget it, so that it serves once; commits.

    Raises:
        NotLoggedIn: there is none, it is of another kind, or too old.
    """
    found = find_step(session, secret, kind, now_ms)
    data = dict(found.data)
    taken = session.execute(
        delete(LoginStep).where(col(LoginStep.hash) == found.hash).returning(col(LoginStep.hash))
    ).first()
    session.commit()
    if taken is None:
        raise NotLoggedIn("this log-in is over: begin again")
    return data


def refuse_provider(session: Session, why: str, visit: Visit) -> None:
    """Log that single sign-on let somebody not in; commits."""
    told = _told(visit) | {"how": "single sign-on", "why": why}
    audit.record(session, "(unknown)", "login.refused", "(unknown)", told, at_ms=visit.now_ms)
    session.commit()


def _user_and_keys(session: Session, name: str, visit: Visit) -> tuple[User | None, tuple[str, ...]]:
    """Return whose name it is, and what a try counts for.

    A browser with the user's own mark has a count of its own, whatever others try at its address. Without the
    mark a try at an address that waits is refused unseen, so it tells nobody who is known there.
    """
    place = network_of(visit.address)
    from_address = f"address:{place}"
    try:
        word = user_name(name)
    except BadInput:
        return None, (from_address,)
    user = session.exec(select(User).where(col(User.name) == word)).first()
    if user is not None and (marked := marked_session(session, user.id, visit.mark, visit.now_ms)):
        return user, (f"user:{word}@{marked}",)
    if user is not None and is_known_place(session, user.id, visit.address, visit.now_ms):
        return user, (f"user:{word}@{place}", from_address)
    return user, (f"user:{word}", from_address)


def _check_code(session: Session, user: User, code: str, visit: Visit) -> None:
    if not _use_totp(session, user, code, visit.now_ms) and not _use_recovery(session, user, code):
        _refuse(session, user, visit, WRONG_CODE)


def _use_totp(session: Session, user: User, code: str, now_ms: int) -> bool:
    assert user.totp_secret is not None
    counter = matching_counter(user.totp_secret, code, user.totp_counter, now_ms / 1000)
    if counter is None:
        return False
    spend = (
        update(User)
        .where(col(User.id) == user.id, col(User.totp_counter) < counter)
        .values(totp_counter=counter)
        .returning(col(User.id))
    )
    return session.execute(spend).first() is not None


def _use_recovery(session: Session, user: User, code: str) -> bool:
    spend = (
        delete(RecoveryCode)
        .where(col(RecoveryCode.user) == user.id, col(RecoveryCode.hash) == hash_of(recovery_word(code)))
        .returning(col(RecoveryCode.hash))
    )
    return session.execute(spend).first() is not None


def _is_second_click(data: dict[str, Any], code: str, now_ms: int) -> bool:
    return data.get("code") == hash_of(code) and 0 <= now_ms - data["done_ms"] < REPEAT_S * 1000


def _enter(session: Session, user: User, visit: Visit, keys: tuple[str, ...], how: str) -> Entered:
    lockout.give_back(session, keys, visit.now_ms)
    secret = open_session(session, user, address=visit.address, agent=visit.agent, now_ms=visit.now_ms)
    audit.record(session, user.name, "login.in", user.name, _told(visit) | {"how": how}, at_ms=visit.now_ms)
    name = user.name
    session.commit()
    return Entered(secret, name)


def _refuse(session: Session, user: User | None, visit: Visit, why: str) -> NoReturn:
    """Log a wrong try; what was typed as a name nobody has may be a password, so it is not kept."""
    name = user.name if user else "(unknown)"
    what = {"what": "code"} if why is WRONG_CODE else {}
    audit.record(session, name, "login.refused", name, _told(visit) | what, at_ms=visit.now_ms)
    session.commit()
    raise NotLoggedIn(why)


def _told(visit: Visit) -> dict[str, str]:
    return {"from": visit.address[:64]}
