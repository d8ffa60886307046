"""What the updater says on the air: where an action stands, as `Update` messages.

The broker keeps the last one. What was said last of each kind is said again after each connection, because a
broker may forget, and repeats change nothing at the fleet.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from device.firmware.clock import clock_state
from device.firmware.updating.journal import REASON_CHARS, Journal
from device.firmware.updating.kind import KindName
from ota.messages import Channel, Message, Topic, Update, format_ts, new_id

PROGRESS_S: Final = 5.0
Said = tuple[str, str, str, float, str]
"""Action, state, reason, progress, path."""
_WORDS: Final = {"reported": "committed", "clean": "committed"}
"""Steps after the commit are the device's own: for everybody else it is committed."""


class Teller:
    """See the module; `say_again` may be called by any thread.

    Args:
        device: its id.
        say: publishes, or does nothing without a link.
        now: monotonic seconds.
    """

    def __init__(
        self, device: str, say: Callable[[Topic, Message], None], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._topic = Topic(device, Channel.UPDATE)
        self._say = say
        self._now = now
        self._said: dict[str, Said] = {}
        self._progress_due_s = 0.0

    def tell(self, kind: KindName, journal: Journal, progress_pct: float = 0.0) -> None:
        """Say where an action stands, unless that was just said."""
        said = _words_of(journal, progress_pct)
        if said is not None and self._said.get(kind) != said:
            self._said.pop(kind, None)
            self._said[kind] = said
            self._publish(said)

    def remember(self, kind: KindName, journal: Journal) -> None:
        """Let `say_again` say where an action stands that an earlier process has told of."""
        said = _words_of(journal, 0.0)
        if said is not None:
            self._said[kind] = said

    def refuse(self, action: str, path: str, reason: str) -> None:
        """Answer what has no journal, because it makes no sense."""
        self._publish((action, "rejected", reason[:REASON_CHARS], 0.0, path))

    def progress(self, kind: KindName, journal: Journal, progress_pct: float) -> None:
        """Say how far a download is, every few seconds."""
        if self._now() >= self._progress_due_s:
            self._progress_due_s = self._now() + PROGRESS_S
            self.tell(kind, journal, progress_pct)

    def say_again(self) -> None:
        """Say the last words once more, the latest last."""
        for said in list(self._said.values()):
            self._publish(said)

    def _publish(self, said: Said) -> None:
        action, word, reason, progress_pct, path = said
        now_s = time.time()
        update = Update(
            id=new_id(),
            ts=format_ts(now_s),
            clock=clock_state(now_s),
            action=action,
            state=word,
            progress_pct=progress_pct,
            reason=reason,
            target=path,
        )
        self._say(self._topic, update)


def _words_of(journal: Journal, progress_pct: float) -> Said | None:
    if journal.target is None or not journal.action:
        return None
    word = _WORDS.get(journal.state, journal.state)
    is_fetched = word not in ("accepted", "downloading", "rejected", "cancelled", "failed")
    pct = 100.0 if is_fetched else round(min(100.0, progress_pct), 1)
    return journal.action, word, journal.reason[:REASON_CHARS], pct, journal.target.path
