"""TOTP (RFC 6238, by `pyotp`) and the recovery codes that stand in for it. No database, no clock."""

from __future__ import annotations

import secrets
from typing import Final

import pyotp

STEP_S: Final = 30
DRIFT_STEPS: Final = 1
"""How far the clock of a phone may be off, either way."""

RECOVERY_CODES: Final = 10
_LETTERS: Final = "abcdefghjkmnpqrstuvwxyz23456789"


def new_totp_secret() -> str:
    """Return a new secret, base32."""
    return pyotp.random_base32()


def otpauth_uri(secret: str, name: str, issuer: str = "Pehra") -> str:
    """Return the address that an authenticator app reads, as a QR code or by hand."""
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=issuer)


def matching_counter(secret: str, code: str, used_counter: int, now_s: float) -> int | None:
    """Return the time step that a code belongs to, or None if it is wrong or was used before.

    Args:
        secret: base32.
        code: six digits; blanks are forgiven.
        used_counter: the step of the last code that was taken; this one and earlier ones are spent.
        now_s: Unix seconds.
    """
    digits = code.replace(" ", "")
    if not (digits.isascii() and digits.isdecimal() and len(digits) == 6):
        return None
    totp, now = pyotp.TOTP(secret), int(now_s) // STEP_S
    for counter in range(now - DRIFT_STEPS, now + DRIFT_STEPS + 1):
        if counter > used_counter and secrets.compare_digest(totp.generate_otp(counter), digits):
            return counter
    return None


def new_recovery_codes() -> list[str]:
    """Return fresh codes of 59 random bits each, grouped for reading."""
    return ["-".join(_group() for _ in range(3)) for _ in range(RECOVERY_CODES)]


def recovery_word(code: str) -> str:
    """Return a recovery code as it is hashed: small, without blanks and dashes."""
    return code.strip().lower().replace("-", "").replace(" ", "")[:40]


def _group() -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(4))
