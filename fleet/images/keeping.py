"""Keeps the image repository alive, as a part of the fleet: signs it in time, tells rollouts of its releases.

It signs only what the online keys may (snapshot, timestamp, deltas): that nothing new has appeared is all
that a stolen fleet could say. Several fleet managers may do this; the repository's lock lets one at a time.
"""

from __future__ import annotations

import logging
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlmodel import Session, select

from fleet.director.marks import mark
from fleet.errors import FleetError, first_line
from fleet.identity.home import PUBLIC, Home, write_file
from fleet.images.catalogue import Catalogue, read_catalogue, release_from
from fleet.rollouts.releases import NewRelease, add_release, withdraw_release
from fleet.store.tables_rollouts import Release, WantedRelease
from ota.errors import TrustError
from ota.images.home import Home as Repository
from ota.images.publishing import keep_fresh
from ota.images.status import role_states
from ota.trust.folder import TrustFolder

log = logging.getLogger(__name__)

LOOK_S: Final = 60.0
GLANCE_S: Final = 1.0
"""So often it is seen whether something was published."""
BY: Final = "image repository"
TRUST: Final = "image-trust"
TIMESTAMP: Final = Path("metadata", "timestamp.json")


class ImageKeeper:
    """Looks at the repository every minute; `run` is a part of the fleet.

    Args:
        engine: of the database.
        home: of the fleet; None where it has none.
        images: published folder; None where none is served.
        repository: its home with the online keys; None where others sign.
    """

    def __init__(
        self, engine: Engine, home: Home | None, images: Path | None, repository: Path | None
    ) -> None:
        self._engine = engine
        self._home = home
        self._images = images
        self._repository = Repository(repository) if repository is not None else None
        self._complaints: dict[str, str] = {}
        self._snapshot = 0

    def run(self, stop: threading.Event) -> None:
        """Look again and again until `stop`."""
        with tempfile.TemporaryDirectory(prefix="pehra-") as place:
            trusted = TrustFolder(self._home.folder / TRUST if self._home else Path(place))
            while not stop.is_set():
                published = self._published_ns()
                self.look(trusted, datetime.now(UTC))
                until_s = time.monotonic() + LOOK_S
                while self._published_ns() == published and time.monotonic() < until_s:
                    if stop.wait(GLANCE_S):
                        break

    def _published_ns(self) -> int:
        """Return when the last of a publication's files was written; 0 where there is none."""
        try:
            return (self._images / TIMESTAMP).stat().st_mtime_ns if self._images is not None else 0
        except OSError:
            return 0

    def look(self, trusted: TrustFolder, now: datetime) -> None:
        """Do what is due once; what cannot be done is said once, and tried again."""
        if self._repository is not None:
            self._complain("sign", self._sign(self._repository, now))
        if self._images is not None:
            self._complain("read", self._read(trusted, self._images, now))

    def _sign(self, repository: Repository, now: datetime) -> str:
        """Sign what is half used up; return what is wrong."""
        try:
            self._give_root(repository)
            with repository.locked() as settings:
                done = keep_fresh(repository, settings, _no_secret, now)
                states = role_states(repository, settings, now)
        except (TrustError, FleetError, OSError) as error:
            return f"the image repository is not signed again: {first_line(error)}"
        for one in done:
            if one.signed:
                log.info("image repository signed roles=%s to=%s", ",".join(one.signed), one.folder)
        if not done:
            return "the image repository is published nowhere: pehra ota publish DIR"
        return "; ".join(f"{one.role} {one.words}" for one in states if one.is_urgent)

    def _give_root(self, repository: Repository) -> None:
        """Let devices that are let in be given the repository's first root, unless they are given another."""
        if self._home is not None and not self._home.image_root.exists() and repository.first_root.exists():
            write_file(self._home.image_root, repository.first_root.read_text("utf-8"), PUBLIC)
            log.info("image repository: devices are given its root file=%s", self._home.image_root)

    def _read(self, trusted: TrustFolder, images: Path, now: datetime) -> str:
        """Tell rollouts what is offered; return what is wrong."""
        try:
            catalogue = read_catalogue(trusted, self._root(), images, now)
            if catalogue.snapshot == self._snapshot:
                return self._complaints.get("read", "")
            faults = self._tell(catalogue, images)
        except (TrustError, FleetError, OSError, DBAPIError, PoolTimeout) as error:
            return f"no releases are read from {images}: {first_line(error)}"
        if not faults:  # a file that is wrong may be put right under the same snapshot
            self._snapshot = catalogue.snapshot
        return "; ".join(faults)

    def _root(self) -> bytes:
        files = [self._home.image_root] if self._home is not None else []
        files += [self._repository.first_root] if self._repository is not None else []
        for file in files:
            if file.is_file():
                return file.read_bytes()
        named = files[0] if files else "a fleet with a home"
        raise FleetError(f"the repository's first root is not known: lay its root.json at {named}")

    def _tell(self, catalogue: Catalogue, images: Path) -> list[str]:
        faults = []
        for target in catalogue.targets:
            try:
                self._take(release_from(target, images))
            except (TrustError, FleetError) as error:
                faults.append(f"{target.path}: {error}")
        self._withdraw({target.path for target in catalogue.targets})
        return faults

    def _take(self, new: NewRelease) -> None:
        """Keep a release, and what is signed about it now: that may change without its content."""
        with Session(self._engine) as session:
            row = add_release(session, new, BY, round(time.time() * 1000))
            signed = {"path": new.path, "hw": list(new.hw), "sec_ver": new.sec_ver, "custom": new.custom}
            if all(getattr(row, name) == value for name, value in signed.items()):
                return
            for name, value in signed.items():
                setattr(row, name, value)
            session.add(row)
            session.flush()
            wanted = select(WantedRelease.device).where(WantedRelease.release == row.id)
            mark(session.connection(), session.exec(wanted).all(), time.time())
            session.commit()
            log.info("release described anew name=%s version=%s", new.name, new.version)

    def _withdraw(self, offered: set[str]) -> None:
        """Let no new rollout use what the repository offers no longer."""
        with Session(self._engine) as session:
            for row in session.exec(select(Release).where(Release.state == "ready")).all():
                if "kind" in row.custom and row.path not in offered:
                    withdraw_release(session, row.id, BY)
                    log.info("release withdrawn name=%s version=%s", row.name, row.version)

    def _complain(self, about: str, reason: str) -> None:
        if reason and reason != self._complaints.get(about):
            log.error("%s", reason)
        self._complaints[about] = reason


def _no_secret(_name: str, _is_new: bool) -> str:
    """Online keys have no passphrase."""
    return ""
