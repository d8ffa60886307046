"""Passwords: what is allowed, and argon2 (RFC 9106, low-memory profile of `argon2-cffi`).

A password is looked at before it is hashed: one of a megabyte costs us nothing. Few are hashed at a time,
because each takes 64 MiB.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from fleet.errors import BadInput

LENGTH_MIN: Final = 12
LENGTH_MAX: Final = 256
_AT_ONCE: Final = 4

_hasher: Final = PasswordHasher()
_turns: Final = threading.BoundedSemaphore(_AT_ONCE)


def check_password(password: str, name: str) -> None:
    """Check that a password may be chosen.

    Raises:
        BadInput: too short, too long, of letters that are none, or too like the user's name.
    """
    if len(password) < LENGTH_MIN:
        raise BadInput(f"the password is too short: at least {LENGTH_MIN} letters, a sentence is good")
    if len(password) > LENGTH_MAX:
        raise BadInput(f"the password is too long: at most {LENGTH_MAX} letters")
    if not _is_text(password):
        raise BadInput("the password has letters that no keyboard types")
    if len(set(password)) < 4:
        raise BadInput("the password repeats too few letters: choose another")
    plain = password.casefold()
    if name and name.casefold() in plain and len(plain.replace(name.casefold(), "")) < LENGTH_MIN:
        raise BadInput("the password is too like the user's name: choose another")


def hash_password(password: str) -> str:
    """Return what is kept of a password that `check_password` let through."""
    with _turns:
        return _hasher.hash(password)


def is_password(kept: str | None, password: str) -> bool:
    """Whether a password is the kept one; takes as long for a user who has none."""
    if len(password) > LENGTH_MAX or not _is_text(password):
        return False
    with _turns:
        try:
            return _hasher.verify(kept or _nobodys(), password) and kept is not None
        except (VerificationError, InvalidHashError):
            return False


def is_outdated(kept: str) -> bool:
    """Whether a hash was made with weaker parameters than those of now."""
    return _hasher.check_needs_rehash(kept)


@cache
def _nobodys() -> str:
    return _hasher.hash("of nobody at all")


def _is_text(password: str) -> bool:
    return not any(c == "\0" or "\ud800" <= c <= "\udfff" for c in password)
