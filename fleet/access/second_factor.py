"""One's own TOTP: begun with the password, on once a code was typed, off with the password."""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel import Session, col, delete

from fleet.access import audit, lockout
from fleet.access.caller import Caller
from fleet.access.secrets import hash_of
from fleet.access.totp import (
    matching_counter,
    new_recovery_codes,
    new_totp_secret,
    otpauth_uri,
    recovery_word,
)
from fleet.access.users import get_user, prove_password
from fleet.errors import BadInput, Conflict
from fleet.store.tables_people import RecoveryCode, User


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What an authenticator app needs: an address for a QR code, or the secret to type."""

    uri: str
    secret: str


def begin_totp(session: Session, caller: Caller, password: str, *, now_ms: int) -> Enrolment:
    """Give out a new secret and commit; TOTP is on only after `confirm_totp`.

    Raises:
        Forbidden: the password is wrong.
        Conflict: it is on already, or the user logs in by single sign-on.
    """
    user = _with_password(session, caller)
    prove_password(session, user, password, now_ms)
    if user.totp_secret is not None:
        raise Conflict("TOTP is on already: turn it off first")
    user.totp_pending = user.totp_pending or new_totp_secret()  # a second click shows the same
    session.add(user)
    session.commit()
    assert user.totp_pending is not None
    return Enrolment(otpauth_uri(user.totp_pending, user.name), user.totp_pending)


def confirm_totp(session: Session, caller: Caller, code: str, *, now_ms: int) -> list[str]:
    """Turn TOTP on with a code of the new secret, and commit; returns the recovery codes, shown this once.

    Raises:
        BadInput: the code is wrong.
        Conflict: nothing was begun, or it is on already.
        TooManyTries: it was wrong too often.
    """
    audit.hold(session)
    user = get_user(session, caller.name)
    if user.totp_secret is not None or user.totp_pending is None:
        raise Conflict("there is nothing to confirm: TOTP is on already, or was not begun")
    pending = user.totp_pending
    lockout.take_try(session, (f"user:{user.name}@own",), now_ms)
    counter = matching_counter(pending, code, 0, now_ms / 1000)
    if counter is None:
        raise BadInput("the code is wrong: is the clock of the phone right?")
    lockout.give_back(session, (f"user:{user.name}@own",), now_ms)
    user.totp_secret, user.totp_pending, user.totp_counter = pending, None, counter
    session.add(user)
    codes = _renew_recovery(session, user)
    audit.record(session, caller, "totp.on", user.name, at_ms=now_ms)
    session.commit()
    return codes


def drop_totp(session: Session, caller: Caller, password: str, *, now_ms: int) -> None:
    """Turn TOTP off and commit; again changes nothing.

    Raises:
        Forbidden: the password is wrong.
    """
    user = _with_password(session, caller)
    prove_password(session, user, password, now_ms)
    if user.totp_secret is None and user.totp_pending is None:
        return
    user.totp_secret = user.totp_pending = None
    session.add(user)
    session.execute(delete(RecoveryCode).where(col(RecoveryCode.user) == user.id))
    audit.record(session, caller, "totp.off", user.name, at_ms=now_ms)
    session.commit()


def _with_password(session: Session, caller: Caller) -> User:
    user = get_user(session, caller.name)
    if user.password is None:
        raise Conflict("you log in by single sign-on: its provider asks for the second factor")
    return user


def _renew_recovery(session: Session, user: User) -> list[str]:
    session.execute(delete(RecoveryCode).where(col(RecoveryCode.user) == user.id))
    codes = new_recovery_codes()
    session.add_all(RecoveryCode(hash=hash_of(recovery_word(code)), user=user.id) for code in codes)
    return codes
