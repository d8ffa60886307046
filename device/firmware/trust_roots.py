"""Whom this board believes, as it lies beside its identity: the director's root, and the image repository's.

::

    STATE/identity/
      director-root.json   the newest root of the director: who may say what is wanted of this board
      image-root.json      the first root of the image repository: whose releases it may install

Both come with the identity, or before it with the card; what is there is not replaced by an answer, only
followed (`ota.trust.director`). They go with the identity.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Final

import msgspec

from device.errors import NotOurFleet, StateUnavailable
from device.firmware.claim_file import IDENTITY
from device.firmware.identity import WHO, Identity
from ota.errors import Untrusted
from ota.trust.director import DirectorRoot, check_chain, follow_roots, read_root
from ota.whole import write_whole

DIRECTOR_ROOT: Final = "director-root.json"
IMAGE_ROOT: Final = "image-root.json"
_log = logging.getLogger(__name__)


def has_director(state: Path) -> bool:
    """Whether this board knows a director; a root that was damaged is none."""
    return _known_director(state) is not None


def lacks_roots(state: Path) -> bool:
    """Whether there is somebody whom this board does not know yet."""
    return not (has_director(state) and _has_image_root(state))


def kept_director(state: Path) -> DirectorRoot:
    """Return the director's newest root that this board has followed.

    Raises:
        Untrusted: there is none, or it is damaged.
    """
    try:
        content = (state / IDENTITY / DIRECTOR_ROOT).read_bytes()
    except OSError as error:
        raise Untrusted(
            "this board takes signed documents only, and knows no director yet: its fleet has none, or was "
            f"not asked yet ({error.strerror})"
        ) from error
    return read_root(content)


def keep_director(state: Path, root: DirectorRoot) -> None:
    """Keep a root that was followed to.

    Raises:
        OSError: the disk refuses; the root before it still holds.
    """
    write_whole(state / IDENTITY / DIRECTOR_ROOT, root.to_bytes(), 0o644)


def keep_roots(state: Path, director_roots: list[str], image_root: str) -> None:
    """Keep whom a fleet says is to be believed, as far as this board does not know better.

    Raises:
        NotOurFleet: what it says does not hold.
        StateUnavailable: the folder cannot be written.
    """
    try:
        if director_roots:
            _keep_director_roots(state, director_roots)
        if image_root and not _has_image_root(state):
            read_root(image_root.encode(), "image repository's")
            write_whole(state / IDENTITY / IMAGE_ROOT, image_root.encode(), 0o644)
    except Untrusted as error:
        raise NotOurFleet(str(error)) from error
    except OSError as error:
        raise StateUnavailable(state / IDENTITY, f"{error.strerror}: roots cannot be kept") from error


def leave_other_fleet(state: Path, pin: str) -> None:
    """Forget both where this board belonged to another fleet before: that one's director has nothing to say.

    Args:
        state: the board's state folder.
        pin: of the fleet that lets it in now.

    Raises:
        StateUnavailable: the folder cannot be written.
    """
    try:
        before = msgspec.json.decode((state / IDENTITY / WHO).read_bytes(), type=Identity)
    except (OSError, msgspec.DecodeError):
        return
    if before.pin == pin:
        return
    try:
        for name in (DIRECTOR_ROOT, IMAGE_ROOT):
            (state / IDENTITY / name).unlink(missing_ok=True)
    except OSError as error:
        raise StateUnavailable(state / IDENTITY, f"{error.strerror}: old roots cannot be removed") from error


def _keep_director_roots(state: Path, roots: list[str]) -> None:
    known = _known_director(state)
    if known is None:
        keep_director(state, check_chain(root.encode() for root in roots))
        return
    try:
        newest = follow_roots(known, [msgspec.json.decode(root, type=dict[str, Any]) for root in roots])
    except (Untrusted, msgspec.DecodeError) as error:
        _log.error("trust: the fleet names another director, ours is kept reason=%r", str(error))
        return
    if newest is not known:
        keep_director(state, newest)


def _has_image_root(state: Path) -> bool:
    """Whether there is one that can be read; a damaged one would keep every release out for ever."""
    try:
        read_root((state / IDENTITY / IMAGE_ROOT).read_bytes(), "image repository's")
    except (OSError, Untrusted):
        return False
    return True


def _known_director(state: Path) -> DirectorRoot | None:
    try:
        return kept_director(state)
    except Untrusted:
        return None
