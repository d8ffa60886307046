"""Opens the signed envelope of a desired document: the reader of a board that a fleet has let in."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from device.firmware.clock import clock_state
from device.firmware.trust_roots import keep_director, kept_director
from ota.errors import FolderProblem
from ota.messages import Desired, decode_signed
from ota.trust.director import DirectorRoot, check_root, follow_roots, open_document

_log = logging.getLogger(__name__)


class SignedReader:
    """Believes documents that the director has signed, and follows its roots.

    That a document is for this board, fresh and new is `Remote`'s to see.

    Args:
        state: the board's state folder.
        now: wall clock, Unix seconds.
    """

    def __init__(self, state: Path, now: Callable[[], float] = time.time) -> None:
        self._state = state
        self._now = now

    def __call__(self, payload: bytes) -> Desired:
        """Return the document of a message.

        Raises:
            BadMessage: it is no envelope, or there is no document in it.
            Untrusted: somebody else has signed it, or a root that leads to its key does not hold.
            OutOfDate: the director's root holds no longer.
            FolderProblem: a newer root cannot be kept.
        """
        signed = decode_signed(payload)
        root = self._follow(kept_director(self._state), signed.roots)
        now_s = self._now()
        if clock_state(now_s) == "synced":
            check_root(root, datetime.fromtimestamp(now_s, UTC))
        return open_document(signed, root)

    def _follow(self, known: DirectorRoot, roots: list[dict[str, object]]) -> DirectorRoot:
        """Return the newest root; it is kept before it is used, so that the one before never counts again."""
        newest = follow_roots(known, roots)
        if newest is not known:
            try:
                keep_director(self._state, newest)
            except OSError as error:
                raise FolderProblem(
                    f"{self._state}: the director's new root is not kept ({error})"
                ) from error
            _log.info("trust: the director's root is %d now", newest.signed.version)
        return newest
