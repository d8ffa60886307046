"""Makes a new image repository: its keys, its root, and its empty roles, all signed (the key ceremony)."""

from __future__ import annotations

from datetime import datetime

from securesystemslib.signer import Key
from tuf.api.metadata import DelegatedRole, Delegations, Metadata, Root, Targets

from ota.errors import BadRelease, KeyProblem
from ota.images.fresh import freshen, sign_online
from ota.images.home import DELEGATED, DELTAS, OFFLINE, ONLINE, Home, KeyEntry, Settings, expiry
from ota.images.keys import FILE, AskSecret, ask_once, import_token_key, make_key_file
from ota.images.signing import Signers, sign_staged
from ota.whole import write_whole

ROOT_KEYS = 3
ROOT_THRESHOLD = 2


def found(home: Home, ask: AskSecret, now: datetime, tokens: dict[str, str] | None = None) -> Settings:
    """Make a repository with nothing in it.

    Args:
        home: Its folder, empty or not there.
        ask: Asks for the passphrases of the offline keys.
        now: The moment.
        tokens: Keys that are on a token: URI by the key's name (`root-1`, `targets-1`, ...).

    Raises:
        BadRelease: The folder is not empty, or a token is for no key.
        KeyProblem: A key cannot be made.
    """
    tokens = dict(tokens or {})
    names = {role: _names(role) for role in (*OFFLINE, *ONLINE)}
    known = {name for of_role in names.values() for name in of_role}
    for name in tokens.keys() - known:
        raise BadRelease(f"there is no key {name!r}; there are {', '.join(sorted(known))}")
    home.make()
    ask = ask_once(ask)
    settings = Settings()
    keys = {
        role: [new_key(home, settings, role, name, ask, tokens.get(name, "")) for name in of_role]
        for role, of_role in names.items()
    }
    home.write_settings(settings)
    home.stage(Root.type, Metadata(_root(keys)))
    home.stage(Targets.type, Metadata(_targets(keys, settings, now)))
    for role in DELEGATED:
        if role != DELTAS:
            home.stage(role, Metadata(Targets(expires=expiry(settings, role, now))))
    for outcome in sign_staged(home, settings, ask, now):
        if not outcome.is_current:
            raise BadRelease(f"{outcome.role} lacks signatures of {', '.join(outcome.missing)}")
    deltas = Metadata(Targets(expires=expiry(settings, DELTAS, now)))
    sign_online(home, Signers(home, settings, ask), DELTAS, deltas)
    freshen(home, settings, ask, now)
    write_whole(home.first_root, (home.metadata / "1.root.json").read_bytes())
    return settings


def new_key(home: Home, settings: Settings, role: str, name: str, ask: AskSecret, token: str = "") -> Key:
    """Make a key, or take one from a token, and remember where it is."""
    if token:
        uri, key = import_token_key(name, token, ask)
    else:
        is_online = role in ONLINE
        folder = home.online_keys if is_online else home.offline_keys
        key = make_key_file(folder / f"{name}.pem", name, None if is_online else ask).public_key
        uri = f"{FILE}{name}.pem"
    if key.keyid in settings.keys:
        other = settings.keys[key.keyid].name
        raise KeyProblem(
            name, f"is the key {other} already; each has its own: name another slot of the token"
        )
    settings.keys[key.keyid] = KeyEntry(name, uri)
    return key


def _names(role: str) -> list[str]:
    return [f"{role}-{number}" for number in range(1, (ROOT_KEYS if role == Root.type else 1) + 1)]


def _root(keys: dict[str, list[Key]]) -> Root:
    root = Root(consistent_snapshot=True)
    for role in root.roles:
        for key in keys[role]:
            root.add_key(key, role)
    root.roles[Root.type].threshold = ROOT_THRESHOLD
    return root


def _targets(keys: dict[str, list[Key]], settings: Settings, now: datetime) -> Targets:
    targets = Targets(expires=expiry(settings, Targets.type, now))
    # terminating: what a role does not know, no role after it may speak of
    roles = {role: DelegatedRole(role, [], 1, True, [f"{role}/*"]) for role in DELEGATED}
    targets.delegations = Delegations({}, roles)
    for role in DELEGATED:
        for key in keys[role]:
            targets.add_key(key, role)
    return targets
