"""A part that is a thread of ours; that it asks whether to stop is its sign of life."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

_log = logging.getLogger(__name__)

_STOP_S = 20.0


class BeatingStop(threading.Event):
    """A stop event for one thread, which notes when that thread last looked at it.

    Attributes:
        beat_s: monotonic time of that look.
    """

    def __init__(self) -> None:
        super().__init__()
        self.beat_s = time.monotonic()

    def is_set(self) -> bool:
        """Whether to stop; a sign of life."""
        self.beat_s = time.monotonic()
        return super().is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the stop; a sign of life before and after."""
        self.beat_s = time.monotonic()
        is_stopped = super().wait(timeout)
        self.beat_s = time.monotonic()
        return is_stopped


class Worker:
    """A thread with a body that ends soon after its stop is set.

    Args:
        name: of the thread.
        body: what it does; it looks at the stop at least as often as the part may be silent.
        wake: frees the body from whatever else it waits for.
    """

    def __init__(
        self, name: str, body: Callable[[threading.Event], None], *, wake: Callable[[], None] = lambda: None
    ) -> None:
        self._name = name
        self._body = body
        self._wake = wake
        self._stop = BeatingStop()
        self._thread: threading.Thread | None = None
        self.last_error = ""

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def beat_s(self) -> float:
        """Monotonic time at which the body last looked at its stop."""
        return self._stop.beat_s

    def start(self) -> None:
        """Start the thread, or a new one where the former has ended."""
        self._stop = BeatingStop()
        self._thread = threading.Thread(target=self._run, args=(self._stop,), name=self._name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Set the stop and wait up to 20 s; a body that hangs is left behind and told of."""
        self._stop.set()
        self._wake()
        if self._thread is not None:
            self._thread.join(_STOP_S)
            if self._thread.is_alive():
                _log.error("part does not end part=%s it is left behind", self._name)

    def _run(self, stop: BeatingStop) -> None:
        try:
            self._body(stop)
        except Exception as error:  # noqa: BLE001 (whatever ended it, the supervisor decides what follows)
            self.last_error = f"{type(error).__name__}: {error}"[:200]
            _log.exception("part failed part=%s", self._name)
