"""Random secrets that we give out, and the hashes that we keep of them.

They are 256 random bits, so that a plain SHA-256 is enough: there is nothing to guess. Passwords, which
people choose, are another matter (`passwords.py`).
"""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Final

TOKEN_MARK: Final = "pehra_"  # noqa: S105 - the mark by which a token is known, not a token
_TOKEN: Final = re.compile(r"pehra_[A-Za-z0-9_-]{20,}")


def new_secret() -> str:
    """Return 256 random bits as text that fits into a cookie."""
    return secrets.token_urlsafe(32)


def new_token() -> tuple[str, str]:
    """Return the public part of a new API token, and the whole token."""
    public = secrets.token_hex(4)
    return public, f"{TOKEN_MARK}{public}_{new_secret()}"


def hash_of(secret: str) -> str:
    """Return what is kept of a random secret, hexadecimal."""
    return hashlib.sha256(secret.encode("utf-8", errors="replace")).hexdigest()


def form_token(cookie: str) -> str:
    """Return what a form must carry beside a cookie: only who can read our pages knows it."""
    return hashlib.sha256(f"pehra form {cookie}".encode("utf-8", errors="replace")).hexdigest()


def is_same(one: str, other: str) -> bool:
    """Compare in a time that tells nothing about where two texts differ."""
    return secrets.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


def holds_token(text: str) -> bool:
    """Whether a text has one of our API tokens in it."""
    return _TOKEN.search(text) is not None
