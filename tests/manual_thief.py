"""A thief in the town of docs/updates.md, who has copied the fleet's machine and sticks: what he signs."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from device.firmware.claim_file import IDENTITY
from device.firmware.remote import SignedReader
from device.firmware.trust_roots import DIRECTOR_ROOT
from fleet.director.home import DirectorHome
from fleet.director.seal import Seal
from ota.errors import Untrusted
from ota.images.adding import Wish, add
from ota.images.fresh import freshen
from ota.images.home import Home
from ota.images.publishing import publish
from ota.images.signing import sign_staged
from ota.messages import Desired, encode, format_ts, new_id
from ota.trust.sources import FolderSource
from tests.manual_town import CAMERAS, SECRET, Town, model

EVIL = "models/street-3-9.9.9.tar"


@dataclass
class Thief:
    """See the module.

    Attributes:
        repositories: image repositories that he has signed.
        orders: that he has signed, for the first camera.
    """

    town: Town
    repositories: list[FolderSource] = field(default_factory=list)
    orders: list[bytes] = field(default_factory=list)

    def take(self, *sticks: str) -> None:
        """Copy the fleet's machine and sticks, and sign whatever can be signed with that."""
        place = self.town.folder / f"thief-{len(self.orders)}"
        images, fleet = Home(place / "images"), DirectorHome(place / "fleet")
        shutil.copytree(self.town.images, images.folder)
        shutil.copytree(self.town.home / "director", fleet.folder)
        keys = [Path(shutil.copytree(self.town.media / name, place / name)) for name in sticks]
        if any(list(stick.glob("models-*.pem")) for stick in keys):
            self.repositories.append(_repository(images, place, keys))
        if any(list(stick.glob("director-root-*.pem")) for stick in keys):
            fleet.rotate(lambda *_: SECRET, datetime.now(UTC), more=keys)
        self.orders.append(_order(fleet))

    @property
    def is_believed(self) -> list[bool]:
        """Whether cameras with what they know now would believe each of it."""
        return [*map(self._is_offered, self.repositories), *map(self._is_obeyed, self.orders)]

    def _is_offered(self, repository: FolderSource) -> bool:
        try:
            return self.town.see(EVIL, source=repository).targets[EVIL] is not None
        except Untrusted:
            return False

    def _is_obeyed(self, order: bytes) -> bool:
        trial = self.town.folder / "trial-camera" / IDENTITY
        trial.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.town.folder / CAMERAS[0] / IDENTITY / DIRECTOR_ROOT, trial)
        try:
            return SignedReader(trial.parent)(order).device == CAMERAS[0]
        except Untrusted:
            return False


def _repository(images: Home, place: Path, keys: list[Path]) -> FolderSource:
    """Make a release of his own, with numbers that run ahead of the true ones."""
    now = datetime.now(UTC)
    with images.locked() as settings:
        add(images, model(place / "evil", "9.9.9"), Wish(hw=("any",)))
        sign_staged(images, settings, lambda *_: SECRET, now, keys)
        for _ in range(9):
            freshen(images, settings, lambda *_: SECRET, now, force=True)
        publish(images, settings, place / "www", lambda *_: SECRET, now)
    return FolderSource(place / "www")


def _order(fleet: DirectorHome) -> bytes:
    """Make an order that is newer than any."""
    until = format_ts(time.time() + 86_400)
    order = Desired(
        id=new_id(), ts=format_ts(time.time()), device=CAMERAS[0], action=new_id(), seq=2**52, expires=until
    )
    return encode(Seal(fleet).sign(order))
