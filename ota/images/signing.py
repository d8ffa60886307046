"""Signs what is staged, with the keys that are at hand; what has all its signatures becomes current.

Keys may come one after another, on machines of their own: a root's second holder signs what the first has
signed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from securesystemslib.signer import Signer
from tuf.api.exceptions import UnsignedMetadataError
from tuf.api.metadata import Key, Root, Targets

from ota.errors import BadRelease, KeyProblem
from ota.images.home import DELEGATED, OFFLINE, AnyMetadata, Home, Settings, expiry
from ota.images.keys import AskSecret, is_elsewhere, open_signer

Delegator = Root | Targets


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one staged role.

    Attributes:
        role: Its name.
        version: Of the staged metadata.
        is_current: Whether it has all its signatures now.
        signed_by: Names of the keys that have signed it, in all.
        missing: Names of keys that could sign and have not.
    """

    role: str
    version: int
    is_current: bool
    signed_by: tuple[str, ...]
    missing: tuple[str, ...]


def sign_staged(
    home: Home, settings: Settings, ask: AskSecret, now: datetime, more_folders: Sequence[Path] = ()
) -> list[Outcome]:
    """Sign everything that is staged with every key that is at hand.

    Raises:
        KeyProblem: A key is at hand and cannot be used.
    """
    signers = Signers(home, settings, ask, more_folders)
    outcomes = []
    for role in OFFLINE:
        metadata = home.waiting(role)
        if metadata is not None:
            if not metadata.signatures:
                metadata.signed.expires = expiry(settings, role, now)
            outcomes.append(_sign(home, settings, signers, role, metadata))
    return outcomes


class Signers:
    """The keys at hand; each is opened once, so that its passphrase is asked for once."""

    def __init__(
        self, home: Home, settings: Settings, ask: AskSecret, more_folders: Sequence[Path] = ()
    ) -> None:
        self._settings = settings
        self._ask = ask
        self._folders = [*more_folders, home.offline_keys, home.online_keys]
        self._opened: dict[str, Signer | None] = {}

    def sign(self, metadata: AnyMetadata, key: Key) -> bool:
        """Add a key's signature; whether the key is at hand."""
        entry = self._settings.keys.get(key.keyid)
        if entry is None:
            return False
        if key.keyid not in self._opened:
            self._opened[key.keyid] = open_signer(entry.name, entry.uri, key, self._folders, self._ask)
        signer = self._opened[key.keyid]
        if signer is None:
            return False
        try:
            metadata.sign(signer, append=True)
        except UnsignedMetadataError as error:
            if is_elsewhere(error.__cause__):
                self._opened[key.keyid] = None
                return False
            raise KeyProblem(
                entry.name,
                f"does not sign ({error.__cause__!r}); is the PIN right? Tokens lock after a few tries",
            ) from error
        return True


def signers_of(home: Home, role: str) -> dict[str, Key]:
    """Return the keys that may sign a role's next version; for a root, those of the one before it too."""
    if role == Root.type:
        found = {}
        for metadata in (home.current(role), home.waiting(role)):
            if metadata is not None:
                found.update(_keys(metadata.signed, role))
        return found
    delegator = _delegator(home, role, is_staged_too=True)
    return _keys(delegator, role)


def is_enough(home: Home, role: str, metadata: AnyMetadata) -> bool:
    """Whether metadata is signed as a client demands that has everything that is current."""
    delegators: list[Delegator] = []
    if role == Root.type:
        delegators.append(metadata.signed)
        current = home.current(role)
        delegators += [current.signed] if current else []
    else:
        delegators.append(_delegator(home, role, is_staged_too=False))
    try:
        for delegator in delegators:
            delegator.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
    except (UnsignedMetadataError, ValueError):
        return False
    return True


def _sign(home: Home, settings: Settings, signers: Signers, role: str, metadata: AnyMetadata) -> Outcome:
    keys = signers_of(home, role)
    missing = []
    for keyid, key in keys.items():
        if keyid not in metadata.signatures and not signers.sign(metadata, key):
            missing.append(_name(settings, keyid))
    is_current = is_enough(home, role, metadata)
    if is_current:
        home.keep(role, metadata)
    else:
        home.stage(role, metadata)
    return Outcome(
        role,
        metadata.signed.version,
        is_current,
        tuple(_name(settings, keyid) for keyid in keys if keyid in metadata.signatures),
        tuple(missing),
    )


def _delegator(home: Home, role: str, *, is_staged_too: bool) -> Delegator:
    parent = Targets.type if role in DELEGATED else Root.type
    metadata = (home.waiting(parent) if is_staged_too else None) or home.current(parent)
    if metadata is None:
        raise BadRelease(f"{home.folder}: metadata of {parent} is missing; sign it first")
    signed: Delegator = metadata.signed
    return signed


def _keys(delegator: Delegator, role: str) -> dict[str, Key]:
    return {keyid: delegator.get_key(keyid) for keyid in delegator.get_delegated_role(role).keyids}


def _name(settings: Settings, keyid: str) -> str:
    entry = settings.keys.get(keyid)
    return entry.name if entry else keyid[:8]
