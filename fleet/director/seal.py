"""Signs documents with the director's key, and knows the roots that go with them.

Looks for a newer root by itself, so that a rotation needs no restart. May be used by several threads.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner

from fleet.director.home import DirectorHome
from fleet.errors import HomeUnusable
from ota.messages import Desired, SignedDesired, encode
from ota.messages.signed import MAX_ROOTS, PAYLOAD_TYPE

log = logging.getLogger(__name__)

SOON: Final = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class _InUse:
    """A root, the key that signs under it, and the roots that are sent along."""

    version: int
    expires: datetime
    signer: CryptoSigner
    roots: list[dict[str, Any]]


class Seal:
    """One fleet's signature.

    Args:
        home: the director's folder.

    Raises:
        HomeUnusable: there is no director, or it lacks its key.
    """

    def __init__(self, home: DirectorHome) -> None:
        self._home = home
        self._lock = threading.Lock()
        self._in_use = _read(home)
        self._complaint = ""
        self._warn()

    @property
    def version(self) -> int:
        """Of the root that is in use."""
        return self._in_use.version

    def look(self) -> bool:
        """Take up a newer root, where there is one; return whether there was."""
        if self._home.newest() == self._in_use.version:
            return False
        try:
            with self._lock:
                self._in_use = _read(self._home)
        except HomeUnusable as error:
            if str(error) != self._complaint:
                log.error("director: the newest root is not used reason=%r", str(error))
            self._complaint = str(error)
            return False
        self._complaint = ""
        log.info("director: root %d is in use", self.version)
        self._warn()
        return True

    def sign(self, document: Desired) -> SignedDesired:
        """Return a document as it travels."""
        with self._lock:
            in_use = self._in_use
        envelope = Envelope(encode(document), PAYLOAD_TYPE, {})
        envelope.sign(in_use.signer)
        return msgspec.convert({**envelope.to_dict(), "roots": in_use.roots}, SignedDesired)

    def _warn(self) -> None:
        left = self._in_use.expires - datetime.now(UTC)
        if left < SOON:
            log.error(
                "director: its root holds until %s, then devices take nothing: pehra fleet director rotate",
                self._in_use.expires.isoformat(),
            )


def _read(home: DirectorHome) -> _InUse:
    root = home.root()
    newer = home.chain()[1:][-MAX_ROOTS:]
    return _InUse(
        root.signed.version,
        root.signed.expires,
        home.signer(root),
        [msgspec.json.decode(content, type=dict[str, Any]) for content in newer],
    )
