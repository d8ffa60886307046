"""The director's folder: the keys that sign documents, and the roots from which devices know them.

::

    HOME/director/
      director.json              names of keys by id; how long a root holds
      roots/N.root.json          the chain of roots, signed: what devices follow
      keys/director-root-N.pem   the root's keys, each with a passphrase: move them to safe places
      online/key-N.pem           the key that signs documents; the fleet needs it every day

The root's files say whose they are: on a stick the image repository's `root-N.pem` lie beside them.

One of two root keys is enough (docs/adr/0025). A root is written last, so that a cut leaves the director as
it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
from securesystemslib.signer import CryptoSigner, Key
from tuf.api.exceptions import UnsignedMetadataError
from tuf.api.metadata import Metadata, Root

from fleet.errors import HomeUnusable
from ota.errors import KeyProblem, TrustError
from ota.images.home import KeyEntry
from ota.images.keys import FILE, AskSecret, ask_once, make_key_file, open_signer
from ota.trust.director import DIRECTOR, DirectorRoot, check_chain
from ota.whole import write_whole

ROOT_KEYS: Final = 2
ROOT_THRESHOLD: Final = 1
LIFE_DAYS: Final = 365.0
FOLDER: Final = "director"


class Known(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What `director.json` holds.

    Attributes:
        keys: by key id.
        life_days: how long a root holds from when it is signed.
    """

    keys: dict[str, KeyEntry] = {}
    life_days: float = LIFE_DAYS


@dataclass(frozen=True, slots=True)
class Rotated:
    """What a rotation made: the root's version, the new key's name, where the old key's file was."""

    version: int
    key: str
    old: Path


class DirectorHome:
    """Reads and writes the folder.

    Args:
        home: the fleet's.
    """

    def __init__(self, home: Path) -> None:
        self.folder = home / FOLDER
        self.roots = self.folder / "roots"
        self.keys = self.folder / "keys"
        self.online = self.folder / "online"
        self._known = self.folder / "director.json"

    @property
    def exists(self) -> bool:
        """Whether there is a director."""
        return (self.roots / "1.root.json").exists()

    def make(self, ask: AskSecret, now: datetime, *, life_days: float = LIFE_DAYS) -> None:
        """Make keys and the first root.

        Raises:
            HomeUnusable: there is a director already, or the disk refuses.
            KeyProblem: a passphrase is too short.
        """
        if self.exists:
            raise HomeUnusable(self.folder, "there is a director already: nothing was changed")
        if self.newest():  # a founding that was cut has no root
            raise HomeUnusable(
                self.roots, "1.root.json is missing, later ones are there: bring back a backup"
            )
        ask = ask_once(ask)
        try:
            for folder in (self.roots, self.keys, self.online):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                for left in folder.iterdir():  # of a founding that was cut: nobody knows those keys
                    left.unlink()
            known, root = Known(life_days=life_days), Root(version=1, consistent_snapshot=True)
            for number in range(1, ROOT_KEYS + 1):
                root.add_key(self._new_key(known, f"root-{number}", ask), Root.type)
            root.roles[Root.type].threshold = ROOT_THRESHOLD
            root.add_key(self._new_key(known, "key-1", None), DIRECTOR)
            self._sign_and_keep(known, Metadata(root), None, ask, now, [])
        except OSError as error:
            raise HomeUnusable(self.folder, f"cannot be written ({error})") from error

    def rotate(self, ask: AskSecret, now: datetime, key: str = "", more: Sequence[Path] = ()) -> Rotated:
        """Make a new root with another key in the place of one, signed by the keys before and after it.

        Args:
            ask: asks for passphrases.
            now: the moment.
            key: name of the key to replace; empty for the one that signs documents.
            more: folders with key files, as on a stick.

        Raises:
            HomeUnusable: there is no director, no such key, or the disk refuses.
            KeyProblem: no root key is at hand, or it cannot be opened.
        """
        ask, known, before = ask_once(ask), self.known(), self.root()
        old = self._find(known, before, key)
        is_root = old in before.signed.roles[Root.type].keyids
        role, stem = (Root.type, "root") if is_root else (DIRECTOR, "key")
        number = 1 + max(
            int(one.name.rpartition("-")[2]) for one in known.keys.values() if one.name.startswith(stem)
        )
        try:
            fresh: DirectorRoot = Metadata(deepcopy(before.signed))
            fresh.signed.version += 1
            fresh.signed.revoke_key(old, role)
            fresh.signed.add_key(self._new_key(known, f"{stem}-{number}", ask if is_root else None), role)
            self._sign_and_keep(known, fresh, before, ask, now, more)
            gone = (self.keys if is_root else self.online) / known.keys[old].uri.removeprefix(FILE)
            gone.unlink(missing_ok=True)
        except OSError as error:
            raise HomeUnusable(self.folder, f"cannot be written ({error})") from error
        return Rotated(fresh.signed.version, f"{stem}-{number}", gone)

    def known(self) -> Known:
        """Return what is known of the keys.

        Raises:
            HomeUnusable: there is no director.
        """
        try:
            return msgspec.json.decode(self._known.read_bytes(), type=Known)
        except (OSError, msgspec.DecodeError) as error:
            reason = f"no director ({error}): `pehra fleet director init` makes one, a backup brings one back"
            raise HomeUnusable(self.folder, reason) from error

    def chain(self) -> list[bytes]:
        """Return the roots, from the first; none where there is no director.

        Raises:
            HomeUnusable: one cannot be read.
        """
        try:
            return [
                (self.roots / f"{number}.root.json").read_bytes() for number in range(1, self.newest() + 1)
            ]
        except OSError as error:
            raise HomeUnusable(self.folder, f"{error}: bring it back from a backup") from error

    def newest(self) -> int:
        """Return the version of the newest root; 0 where there is none."""
        numbers = (path.name.split(".")[0] for path in self.roots.glob("*.root.json"))
        return max((int(number) for number in numbers if number.isdecimal()), default=0)

    def root(self) -> DirectorRoot:
        """Return the newest root.

        Raises:
            HomeUnusable: there is none, or the chain does not hold.
        """
        chain = self.chain()
        try:
            return check_chain(chain)
        except TrustError as error:
            raise HomeUnusable(self.folder, f"{error}: `pehra fleet director init` makes one") from error

    def signer(self, root: DirectorRoot) -> CryptoSigner:
        """Return what signs documents.

        Raises:
            HomeUnusable: its key is not here.
        """
        known = self.known()
        for keyid in root.signed.roles[DIRECTOR].keyids:
            entry = known.keys.get(keyid)
            key = root.signed.keys[keyid]
            try:
                signer = open_signer(entry.name, entry.uri, key, [self.online], _no_secret) if entry else None
            except KeyProblem as error:
                raise HomeUnusable(self.folder, str(error)) from error
            if isinstance(signer, CryptoSigner):
                return signer
        raise HomeUnusable(
            self.online, "the key that signs documents is not here: bring it back, or rotate it"
        )

    def _new_key(self, known: Known, name: str, ask: AskSecret | None) -> Key:
        """Make a key; what a rotation left that was cut is nobody's, and goes."""
        file = self.online / f"{name}.pem" if ask is None else self.keys / f"{FOLDER}-{name}.pem"
        file.unlink(missing_ok=True)
        key = make_key_file(file, name, ask).public_key
        known.keys[key.keyid] = KeyEntry(name, f"{FILE}{file.name}")
        return key

    def _sign_and_keep(
        self,
        known: Known,
        fresh: DirectorRoot,
        before: DirectorRoot | None,
        ask: AskSecret,
        now: datetime,
        more: Sequence[Path],
    ) -> None:
        """Sign a root with as few keys as it takes, and keep it."""
        fresh.signed.expires = now.replace(microsecond=0) + timedelta(days=known.life_days)
        judges = [one for one in (before, fresh) if one is not None]
        keys = {
            keyid: one.signed.keys[keyid] for one in judges for keyid in one.signed.roles[Root.type].keyids
        }
        for keyid, key in keys.items():
            if _is_signed(fresh, judges):
                break
            entry = known.keys.get(keyid)
            signer = open_signer(entry.name, entry.uri, key, [*more, self.keys], ask) if entry else None
            if signer is not None:
                fresh.sign(signer, append=True)
        if not _is_signed(fresh, judges):
            files = [known.keys[keyid].uri.removeprefix(FILE) for keyid in keys if keyid in known.keys]
            raise KeyProblem(
                " or ".join(files), "is not at hand: put the stick in and name its folder with --keys"
            )
        write_whole(self._known, msgspec.json.format(msgspec.json.encode(known), indent=2) + b"\n")
        write_whole(self.roots / f"{fresh.signed.version}.root.json", fresh.to_bytes())

    def _find(self, known: Known, root: DirectorRoot, name: str) -> str:
        if not name:
            return root.signed.roles[DIRECTOR].keyids[0]
        in_use = {known.keys[keyid].name: keyid for keyid in root.signed.keys if keyid in known.keys}
        if name not in in_use:
            raise HomeUnusable(self.folder, f"there is no key {name!r} in use; there are {', '.join(in_use)}")
        return in_use[name]


def _is_signed(fresh: DirectorRoot, judges: Sequence[DirectorRoot]) -> bool:
    try:
        for judge in judges:
            judge.signed.verify_delegate(Root.type, fresh.signed_bytes, fresh.signatures)
    except UnsignedMetadataError:
        return False
    return True


def _no_secret(_name: str, _is_new: bool) -> str:
    return ""
