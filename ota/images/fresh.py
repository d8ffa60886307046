"""Keeps snapshot and timestamp fresh with the online keys: the one thing that a fleet does by itself.

`freshen` is what a fleet calls every few minutes; it does nothing while there is nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256

from tuf.api.metadata import Metadata, MetaFile, Snapshot, Targets, Timestamp

from ota.errors import BadRelease, KeyProblem
from ota.images.home import DELEGATED, DELTAS, AnyMetadata, Home, Settings, expiry
from ota.images.keys import AskSecret
from ota.images.signing import Signers, is_enough, signers_of


def freshen(
    home: Home,
    settings: Settings,
    ask: AskSecret,
    now: datetime,
    *,
    life: timedelta | None = None,
    force: bool = False,
) -> list[str]:
    """Sign deltas, snapshot and timestamp again where they are half used up, or where something has changed.

    Args:
        home: The repository.
        settings: Its settings.
        ask: Asks for a passphrase, where an online key has one.
        now: The moment.
        life: Least time for which snapshot and timestamp are to hold, for a stick that travels.
        force: Sign also what is fresh.

    Returns:
        Names of the roles that were signed.

    Raises:
        KeyProblem: An online key is not here.
    """
    signers = Signers(home, settings, ask)
    done = []

    def renew(role: str, is_current: Callable[[AnyMetadata], bool], make: Callable[[], AnyMetadata]) -> None:
        metadata = home.current(role)
        if (
            not force
            and metadata is not None
            and is_current(metadata)
            and is_enough(home, role, metadata)
            and _is_fresh(metadata, settings, role, now, life)
        ):
            return
        fresh = make()
        fresh.signed.version = metadata.signed.version + 1 if metadata else 1
        fresh.signed.expires = max(
            expiry(settings, role, now), now.replace(microsecond=0) + (life or timedelta())
        )
        sign_online(home, signers, role, fresh)
        done.append(role)

    if home.current(DELTAS) is not None:
        renew(DELTAS, lambda _: True, lambda: home.next_version(DELTAS))
    meta = {f"{role}.json": _about(home, role) for role in (Targets.type, *DELEGATED)}
    renew(Snapshot.type, lambda one: bool(one.signed.meta == meta), lambda: Metadata(Snapshot(meta=meta)))
    about = _about(home, Snapshot.type)
    renew(
        Timestamp.type,
        lambda one: bool(one.signed.snapshot_meta == about),
        lambda: Metadata(Timestamp(snapshot_meta=about)),
    )
    return done


def sign_online(home: Home, signers: Signers, role: str, metadata: AnyMetadata) -> None:
    """Sign a role with its online keys, and make it current.

    Raises:
        KeyProblem: Its keys are not here.
    """
    metadata.signatures.clear()
    for key in signers_of(home, role).values():
        signers.sign(metadata, key)
    if not is_enough(home, role, metadata):
        raise KeyProblem(
            role, f"its private half is not in {home.online_keys}; run this where the online keys are"
        )
    home.keep(role, metadata)


def _is_fresh(
    metadata: AnyMetadata, settings: Settings, role: str, now: datetime, life: timedelta | None
) -> bool:
    left: timedelta = metadata.signed.expires - now
    if life is not None and left < life:
        return False
    return left > timedelta(days=settings.life_days[role]) / 2


def _about(home: Home, role: str) -> MetaFile:
    path = home.current_file(role)
    metadata = home.current(role)
    if path is None or metadata is None:
        raise BadRelease(f"{home.folder}: metadata of {role} is missing; sign it with: pehra ota sign")
    content = path.read_bytes()
    return MetaFile(metadata.signed.version, len(content), {"sha256": sha256(content).hexdigest()})
