"""What was just stored, for pages that are open: the last few hundred events and a version number.

In memory only; a page reads the database once and then follows `since`. Nobody waits for a page.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Any, Final

KEPT: Final = 500


class Feed:
    """The tail of the event stream, for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: deque[tuple[int, dict[str, Any]]] = deque(maxlen=KEPT)
        self._version = 0

    @property
    def version(self) -> int:
        """A number that rises with every batch; equal means that nothing changed."""
        return self._version

    def tell(self, events: list[dict[str, Any]], *, has_other: bool) -> None:
        """Add rows of new events (columns of `Event`); `has_other`: something else was stored."""
        if not events and not has_other:
            return
        with self._lock:
            self._version += 1
            self._events.extend((self._version, row) for row in events)

    def since(self, version: int) -> tuple[int, list[dict[str, Any]]]:
        """Return the present version and the events that came after `version`, oldest first."""
        with self._lock:
            return self._version, [row for number, row in self._events if number > version]
