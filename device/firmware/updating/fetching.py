"""Brings a release's verified file: what the director names must be named just so by the image repository.

A place that is away, old or lying is passed over for the next; what it says is never tried until it fits.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
from tuf.api.metadata import TargetFile

from device.errors import UpdateHindered, UpdateUnsuited
from device.firmware.clock import clock_state
from device.firmware.updating.places import Open, Place
from ota.errors import FolderProblem, NotThere, TrustError, WrongContent
from ota.messages.desired import Target
from ota.trust.delta import delta_path, patch_file
from ota.trust.download import Passage, download, is_whole
from ota.trust.folder import TrustFolder
from ota.trust.limits import Limits
from ota.trust.refresh import Catalogue, refresh
from ota.trust.release import Release, release_of
from ota.whole import sync_folder

SPARE_BYTES: Final = 20_000_000
"""Left free for messages and logs, whatever is fetched."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be fetched.

    Attributes:
        target: as the director names it.
        archive: where its file is to lie.
        held: slots from which a delta may begin, by SHA-256.
        pack: makes the file of such a slot again.
        room_factor: how many times its length must be free.
        gate: why so many bytes may not come over the network now; empty where they may.
        passage: told how it goes; may break it off.
    """

    target: Target
    archive: Path
    held: Mapping[str, str]
    pack: Callable[[str], bytes]
    room_factor: float
    gate: Callable[[int], str]
    passage: Passage


class Fetcher:
    """See the module; used by one thread.

    Args:
        folder: where trusted metadata lies.
        bootstrap: gives the root that is trusted from the beginning.
        places: gives the places to ask.
        limits: what a source may do.
        now: wall clock, Unix seconds.
    """

    def __init__(
        self,
        folder: Path,
        bootstrap: Callable[[], bytes],
        places: Open,
        limits: Limits,
        now: Callable[[], float],
    ) -> None:
        self._folder = TrustFolder(folder)
        self._bootstrap = bootstrap
        self._places = places
        self._limits = limits
        self._now = now

    def vouch(self, target: Target) -> None:
        """Ask whether the image repository names a release just as the director does; fetch nothing.

        Raises:
            UpdateUnsuited: it names it otherwise.
            UpdateHindered: nobody can be asked now.
            FolderProblem: our disk refuses.
        """
        self._ask(target, [], lambda place, catalogue, found: None)

    def obtain(self, order: Order) -> None:
        """Bring a release's file, verified.

        Raises:
            UpdateUnsuited: the image repository names it otherwise.
            UpdateHindered: it cannot be had now; what came so far is kept.
            FolderProblem: our disk refuses.
        """
        new = order.target.hashes["sha256"]
        paths = [delta_path(old, new) for old in order.held]

        def fetch(place: Place, catalogue: Catalogue, found: TargetFile) -> None:
            self._fetch(order, place, catalogue, found)

        self._ask(order.target, paths, fetch)

    def _ask(
        self,
        target: Target,
        also: list[str],
        use: Callable[[Place, Catalogue, TargetFile], None],
    ) -> None:
        if clock_state(self._now()) != "synced":
            raise UpdateHindered("the clock is not set: no signature can be judged")
        faults: list[str] = []
        refused = ""
        for place in self._open(faults):
            try:
                catalogue = self._refresh(place, target.path, also)
                found = catalogue.targets[target.path]
                if found is None:
                    faults.append(f"{place.name} does not name it")
                elif other := differing(target, found):
                    faults.append(f"{place.name} names another {other}")
                    refused = refused or (other if place.is_network else "")
                else:
                    use(place, catalogue, found)
                    return
            except FolderProblem:
                raise
            except TrustError as error:
                _log.warning("update: %s is of no use now reason=%r", place.name, str(error))
                faults.append(f"{place.name}: {error}")
            except UpdateHindered as error:
                faults.append(error.reason)
        if refused:
            raise UpdateUnsuited(f"the director and the image repository name a different {refused}")
        raise UpdateHindered("; ".join(reversed(faults)) or "there is no source")

    def _open(self, faults: list[str]) -> list[Place]:
        opened: list[Place] = []
        try:
            for place in self._places():
                opened.append(place)
        except UpdateHindered as error:
            faults.append(error.reason)
        return opened

    def _refresh(self, place: Place, wanted: str, also: list[str]) -> Catalogue:
        return refresh(
            self._folder,
            self._bootstrap(),
            place.source,
            [wanted],
            also=also,
            limits=self._limits,
            now=datetime.fromtimestamp(self._now(), UTC),
        )

    def _fetch(self, order: Order, place: Place, catalogue: Catalogue, found: TargetFile) -> None:
        if is_whole(found, order.archive):
            return
        left = found.length - _part_bytes(order.archive)
        delta, slot = self._best_delta(order, catalogue, left)
        if delta is not None and self._fetch_delta(order, place, catalogue, found, delta, slot):
            return
        self._check_way(order, place, left, found.length)
        download(
            place.source,
            found,
            order.archive,
            prefixes_hash=catalogue.prefixes_hash,
            limits=self._limits,
            passage=order.passage,
        )

    def _best_delta(self, order: Order, catalogue: Catalogue, left: int) -> tuple[TargetFile | None, str]:
        """The smallest delta that is smaller than what is left of the whole."""
        new = order.target.hashes["sha256"]
        offers = [(catalogue.targets.get(delta_path(old, new)), slot) for old, slot in order.held.items()]
        smaller = [(one, slot) for one, slot in offers if one is not None and 0 < one.length < left]
        return min(smaller, key=lambda offer: offer[0].length, default=(None, ""))

    def _fetch_delta(
        self,
        order: Order,
        place: Place,
        catalogue: Catalogue,
        found: TargetFile,
        delta: TargetFile,
        slot: str,
    ) -> bool:
        """Make the release from what a slot holds; false where that does not come out right."""
        old = order.archive.with_name("old.tar")
        there = order.archive.with_name("delta")
        tell, whole = order.passage.progress, found.length // delta.length
        self._check_way(order, place, delta.length, found.length)
        try:
            download(
                place.source,
                delta,
                there,
                prefixes_hash=catalogue.prefixes_hash,
                limits=self._limits,
                passage=replace(order.passage, progress=lambda there: tell(there * whole)),
            )
            old.write_bytes(order.pack(slot))
            patch_file(old, there, found, order.archive, self._limits)
        except (WrongContent, NotThere) as error:
            _log.warning("update: the delta is of no use, all of it is fetched reason=%r", str(error))
            return False
        except OSError as error:
            raise FolderProblem(f"{old}: {error}; free some space") from error
        finally:
            old.unlink(missing_ok=True)
            if is_whole(delta, there):
                there.unlink()
        _log.info("update: made from a delta bytes=%d of=%d", delta.length, found.length)
        return True

    def _check_way(self, order: Order, place: Place, bytes_to_come: int, length: int) -> None:
        if place.is_network and (reason := order.gate(bytes_to_come)):
            raise UpdateHindered(reason)
        order.archive.parent.mkdir(parents=True, exist_ok=True)
        needed = int(order.room_factor * length) + SPARE_BYTES
        free = shutil.disk_usage(order.archive.parent).free
        if free < needed:
            reason = f"no room: {needed // 1_000_000} MB are needed, {free // 1_000_000} MB are free"
            raise FolderProblem(reason)


def differing(target: Target, found: TargetFile) -> str:
    """Return what the director and the image repository say differently of a release; empty for nothing."""
    if target.length != found.length:
        return "length"
    if dict(target.hashes) != dict(found.hashes):
        return "hash"
    theirs = dict(found.custom or {})
    try:
        same = msgspec.convert(target.custom, type=Release) == release_of(found)
    except (msgspec.ValidationError, TrustError):
        return "description"
    known = set(Release.__struct_fields__)
    ours_else = {key: value for key, value in target.custom.items() if key not in known}
    return "" if same and ours_else == {k: v for k, v in theirs.items() if k not in known} else "description"


def matches(target: Target, archive: Path) -> bool:
    """Whether a file is a release's, by length and hashes."""
    return is_whole(TargetFile(target.length, dict(target.hashes), target.path), archive)


def drop(archive: Path) -> None:
    """Remove whatever was fetched.

    Raises:
        OSError: the disk refuses.
    """
    if archive.parent.is_dir():
        shutil.rmtree(archive.parent)
        sync_folder(archive.parent.parent)


def _part_bytes(archive: Path) -> int:
    part = archive.with_name(f".{archive.name}.part")
    return part.stat().st_size if part.exists() else 0
