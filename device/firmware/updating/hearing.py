"""What the fleet wants installed: the document that is followed, and one that was heard and waits.

`hear` may be called by any thread, the rest by the updater's.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import msgspec

from device.firmware.updating.kind import KindName
from device.firmware.updating.ledger import LedgerFiles
from device.firmware.updating.wishes import Wish, Wishes, wishes_of
from ota.errors import WireError
from ota.messages import Desired

_log = logging.getLogger(__name__)


class Hearing:
    """See the module.

    Args:
        ledger: remembers the newest number over restarts.
        on_refused: told of a wish that nobody can follow, and why.
        on_news: told that something else is wanted than before.

    Attributes:
        wishes: of the document that is followed; None before the first.
    """

    def __init__(
        self, ledger: LedgerFiles, *, on_refused: Callable[[Wish, str], None], on_news: Callable[[], None]
    ) -> None:
        self._ledger = ledger
        self._on_refused = on_refused
        self._on_news = on_news
        self._lock = threading.Lock()
        self._heard: Desired | None = None
        self._followed: Desired | None = None
        self.wishes: Wishes | None = None

    def hear(self, document: Desired) -> None:
        """Take a document in; only the newest counts.

        A broker repeats it at each connection, which must not break off what takes minutes.
        """
        with self._lock:
            if self._followed is None or document.id != self._followed.id:
                self._heard = document

    @property
    def has_news(self) -> bool:
        """Whether a document waits that says something else than the one that is followed."""
        heard = self._heard
        return heard is not None and self._is_news(heard)

    def wish(self, kind: KindName) -> Wish | None:
        """Return what is wanted of a kind."""
        return None if self.wishes is None else self.wishes.by_kind.get(kind)

    def consider(self) -> None:
        """Follow the document that was heard, if it is no older one and can be followed.

        Raises:
            OSError: its number cannot be kept; it waits on.
        """
        with self._lock:
            document, self._heard = self._heard, None
        if document is None:
            return
        held = self._ledger.read()
        if document.seq < held.seq:
            _log.warning("update: an older document is not followed seq=%d newest=%d", document.seq, held.seq)
            return
        try:
            wishes = wishes_of(document)
        except WireError as error:
            _log.warning("update: a document cannot be followed error=%r", str(error))
            return
        try:
            self._ledger.write(msgspec.structs.replace(held, seq=document.seq))
        except OSError:
            with self._lock:  # it is not forgotten because the disk is full
                self._heard = self._heard or document
            raise
        if self._is_news(document):
            self._on_news()
        self.wishes, self._followed = wishes, document
        for wish, reason in wishes.refused:
            self._on_refused(wish, reason)

    def _is_news(self, document: Desired) -> bool:
        before = self._followed
        return before is None or _said(document) != _said(before)


def _said(document: Desired) -> tuple[object, ...]:
    """What a document says about releases; one that is told again differs in id and dates alone."""
    return document.seq, document.action, document.targets, document.window, document.deadline
