"""Says in words how a repository stands: what expires when, what waits for signatures, what is offered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ota.images.home import FIRMWARE, MODELS, OFFLINE, ROLES, Home, Settings
from ota.images.signing import signers_of
from ota.trust.release import Release, release_of

SOON = 0.2
"""Of a role's life that is left when it is time to think of it."""


@dataclass(frozen=True, slots=True)
class RoleState:
    """How one role stands.

    Attributes:
        role: Its name.
        version: Of what is signed.
        expires: Until when it holds, UTC.
        is_urgent: Whether it has expired or soon will.
        words: All of it for a person.
    """

    role: str
    version: int
    expires: datetime
    is_urgent: bool
    words: str


@dataclass(frozen=True, slots=True)
class Offer:
    """A release that is offered."""

    path: str
    length: int
    sha256: str
    release: Release


def role_states(home: Home, settings: Settings, now: datetime) -> list[RoleState]:
    """Return how each role stands."""
    states = []
    for role in ROLES:
        metadata = home.current(role)
        if metadata is None:
            continue
        left = metadata.signed.expires - now
        is_urgent = left < timedelta(days=settings.life_days[role]) * SOON
        until = f"{metadata.signed.expires:%Y-%m-%d %H:%M} UTC"
        words = f"version {metadata.signed.version}, {expiry_words(left)} ({until})"
        if is_urgent:
            words += f": {_advice(role)}"
        states.append(RoleState(role, metadata.signed.version, metadata.signed.expires, is_urgent, words))
    return states


def waiting_words(home: Home, settings: Settings) -> list[str]:
    """Return what waits for signatures, and for whose."""
    words = []
    for role in OFFLINE:
        metadata = home.waiting(role)
        if metadata is None:
            continue
        keys = signers_of(home, role)
        names = {keyid: settings.keys[keyid].name for keyid in keys if keyid in settings.keys}
        signed = [name for keyid, name in names.items() if keyid in metadata.signatures]
        missing = [name for keyid, name in names.items() if keyid not in metadata.signatures]
        words.append(
            f"{role} version {metadata.signed.version}: signed by {', '.join(signed) or 'nobody'}, "
            f"may be signed by {', '.join(missing) or 'nobody else'}"
        )
    return words


def offers(home: Home) -> list[Offer]:
    """Return the releases that are signed."""
    return [
        Offer(target.path, target.length, target.hashes["sha256"], release_of(target))
        for role in (MODELS, FIRMWARE)
        for target in home.targets_role(role).targets.values()
    ]


def expiry_words(left: timedelta) -> str:
    """Return how long something still holds, as a person would say it."""
    if left <= timedelta():
        return f"expired {_span(-left)} ago"
    return f"expires in {_span(left)}"


def _span(span: timedelta) -> str:
    hours = span.total_seconds() / 3600
    if hours < 1:
        return "less than an hour"
    for size, unit in ((24 * 60, "months"), (48, "days"), (1, "hours")):
        if hours >= size:
            number = {"months": hours / (24 * 30.44), "days": hours / 24, "hours": hours}[unit]
            return f"{number:.0f} {unit}" if round(number) != 1 else f"1 {unit[:-1]}"
    return "less than an hour"


def _advice(role: str) -> str:
    if role in OFFLINE:
        return f"pehra ota renew {role}, then sign and publish"
    return "is anybody running `pehra ota fresh`, or a fleet with the online keys?"
