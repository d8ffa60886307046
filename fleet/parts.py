"""The threads of a running fleet, and which of them ended without being told to.

A part that ends by itself is a fault: whoever runs the fleet asks `ended` and stops the whole.
"""

from __future__ import annotations

import threading
from collections.abc import Callable


class Parts:
    """Starts parts, watches them, waits for their end."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self._is_ending = False

    def start(self, name: str, work: Callable[..., None], *arguments: object) -> None:
        """Run `work` in a thread of its own."""
        thread = threading.Thread(target=work, args=arguments, name=name)
        thread.start()
        self._threads.append(thread)

    def ended(self) -> list[str]:
        """Return the names of those that ended though nobody told them to."""
        if self._is_ending:
            return []
        return [thread.name for thread in self._threads if not thread.is_alive()]

    def expect_end(self) -> None:
        """Say that all parts are told to end now."""
        self._is_ending = True

    def join(self) -> None:
        """Wait until all parts have ended."""
        for thread in self._threads:
            thread.join()
