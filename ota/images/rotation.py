"""Gives a role a new key, or a new life: staged, to be signed by whoever must.

A root's chain is kept: version N+1 is signed by the keys of N and by its own, so that a device which slept
through ten rotations follows them one by one.
"""

from __future__ import annotations

from tuf.api.metadata import Root, Snapshot, Targets, Timestamp

from ota.errors import BadRelease
from ota.images.founding import new_key
from ota.images.home import DELEGATED, DELTAS, ROLES, Home, Settings
from ota.images.keys import AskSecret


def rotate(home: Home, settings: Settings, role: str, ask: AskSecret, key: str = "", token: str = "") -> str:
    """Stage a new key for a role in place of an old one.

    Args:
        home: The repository.
        settings: Its settings.
        role: Whose key.
        ask: Asks for the new key's passphrase.
        key: Name of the key to replace; needed where the role has several.
        token: URI of a token that has the new key.

    Returns:
        The new key's name.

    Raises:
        BadRelease: There is no such role or key.
        KeyProblem: The new key cannot be made.
    """
    old = _key_to_replace(home, settings, role, key)
    name = f"{role}-{_next_number(settings, role)}"
    fresh = new_key(home, settings, role, name, ask, token)
    home.write_settings(settings)
    parent = Targets.type if role in DELEGATED else Root.type
    staged = home.next_version(parent)
    staged.signed.revoke_key(old, role)
    staged.signed.add_key(fresh, role)
    home.stage(parent, staged)
    if role in (Targets.type, *DELEGATED) and role != DELTAS:
        # what the old key has signed counts no longer
        home.stage(role, home.next_version(role))
    return name


def renew(home: Home, role: str) -> None:
    """Stage the same again, to be signed for another life.

    Raises:
        BadRelease: There is no such role, or it is the fleet's to sign.
    """
    if role not in ROLES or role in (DELTAS, Snapshot.type, Timestamp.type):
        raise BadRelease(
            f"{role}: renew root, targets, models or firmware; the others are signed by themselves"
        )
    home.stage(role, home.next_version(role))


def _parent(role: str) -> str:
    return Targets.type if role in DELEGATED else Root.type


def _key_ids(home: Home, role: str) -> list[str]:
    metadata = home.waiting(_parent(role)) or home.current(_parent(role))
    if metadata is None:
        raise BadRelease(f"{home.folder}: metadata of {_parent(role)} is missing; take it from your backup")
    return list(metadata.signed.get_delegated_role(role).keyids)


def _key_to_replace(home: Home, settings: Settings, role: str, name: str) -> str:
    if role not in ROLES:
        raise BadRelease(f"there is no role {role!r}; there are {', '.join(ROLES)}")
    names = {settings.keys[keyid].name: keyid for keyid in _key_ids(home, role) if keyid in settings.keys}
    if not name and len(names) == 1:
        return next(iter(names.values()))
    if name not in names:
        raise BadRelease(f"say which key of {role} to replace: --key {' or '.join(sorted(names))}")
    return names[name]


def _next_number(settings: Settings, role: str) -> int:
    numbers = [
        int(entry.name.rpartition("-")[2])
        for entry in settings.keys.values()
        if entry.name.startswith(f"{role}-")
    ]
    return max(numbers, default=0) + 1
