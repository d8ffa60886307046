"""Keeps one camera open and its newest frame at hand, in a thread of its own; never looks into a frame.

Whoever takes frames is never held up by the camera, nor the camera by them: a frame that nobody took is
replaced by the next and counted. A camera that vanishes is reported, and reopened with growing waits.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from hardware.camera.camera import Camera
from hardware.camera.frame import Frame
from hardware.errors import CameraUnavailable

_log = logging.getLogger(__name__)

State = Literal["ok", "lost", "ended"]

_JOIN_S = 15.0


@dataclass(frozen=True, slots=True)
class BackOff:
    """How long to wait before a lost camera is opened again; all in seconds.

    Attributes:
        first_s: The first wait; each further one is twice as long.
        longest_s: No wait is longer.
        steady_s: A camera that gave frames for so long starts again from `first_s`.
    """

    first_s: float = 1.0
    longest_s: float = 30.0
    steady_s: float = 10.0


class Capture:
    """The newest frame of one camera.

    Args:
        open_camera: Opens the camera; called in the capture thread, again after each loss.
        every_frame: Nothing is replaced: the camera waits until each frame is taken. For files.
        back_off: Waits before a lost camera is opened again.
        on_news: Called in the capture thread when a frame has come or the state has changed.
    """

    def __init__(
        self,
        open_camera: Callable[[], Camera],
        *,
        every_frame: bool = False,
        back_off: BackOff | None = None,
        on_news: Callable[[], None] = lambda: None,
    ) -> None:
        self._open_camera = open_camera
        self._every_frame = every_frame
        self._back_off = back_off or BackOff()
        self._on_news = on_news
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._first_frame_s: float | None = None
        self._thread: threading.Thread | None = None
        self._state: State = "ok"
        self._was_opened = False
        self.name = "camera"
        self.frames_captured = 0
        self.frames_dropped = 0
        self.reopened = 0
        self.last_error: CameraUnavailable | None = None

    @property
    def state(self) -> State:
        """`ok` from the start until the camera is `lost`, and again when it is back.

        `ended` once a finite source has ended and its last frame was taken.
        """
        with self._changed:
            return "ok" if self._state == "ended" and self._frame is not None else self._state

    @property
    def is_alive(self) -> bool:
        """Whether it looks after the camera, or has read it to its end."""
        return self._state == "ended" or (self._thread is not None and self._thread.is_alive())

    def start(self) -> None:
        """Open the camera and begin; a second call does nothing unless the thread has ended by itself."""
        if not self.is_alive:
            self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
            self._thread.start()

    def newest(self, timeout_s: float) -> Frame | None:
        """The newest frame that was not taken yet; None if none comes in time or the source ended."""
        with self._changed:
            self._changed.wait_for(self._has_news, timeout_s)
            frame, self._frame = self._frame, None
            self._changed.notify_all()
            return frame

    def ask_to_stop(self) -> None:
        """Let the camera end as soon as it can, without waiting for it."""
        self._stop.set()
        with self._changed:
            self._changed.notify_all()

    def stop(self, timeout_s: float = _JOIN_S) -> None:
        """Close the camera and end the thread; waits for a driver that is inside a read."""
        self.ask_to_stop()
        if self._thread is not None:
            self._thread.join(max(0.0, timeout_s))
            if self._thread.is_alive():
                _log.warning("camera=%s stop=late reason=driver_still_reading", self.name)

    def _has_news(self) -> bool:
        return self._frame is not None or self._state == "ended" or self._stop.is_set()

    def _run(self) -> None:
        wait_s = self._back_off.first_s
        while not self._stop.is_set():
            self._first_frame_s = None
            try:
                if self._read_to_end():
                    self._become("ended", "reason=source_ended")
                    return
                continue
            except CameraUnavailable as error:
                self._lose(error)
            except Exception as error:  # noqa: BLE001 a driver's library failed as it never should: lost, and told
                _log.exception("camera=%s driver_failed=%s", self.name, type(error).__name__)
                self._lose(CameraUnavailable(self.name, f"{type(error).__name__}: {error}", "read the log"))
            if self._was_steady():
                wait_s = self._back_off.first_s
            self._stop.wait(wait_s)
            wait_s = min(wait_s * 2, self._back_off.longest_s)

    def _was_steady(self) -> bool:
        first_s = self._first_frame_s
        return first_s is not None and time.monotonic() - first_s >= self._back_off.steady_s

    def _read_to_end(self) -> bool:
        """Read a newly opened camera until it ends; True if that is a finite source's proper end."""
        camera = self._open_camera()
        self.name, self._was_opened = camera.name, True
        next_seq = 0
        try:
            for frame in camera.frames(self._stop):
                next_seq = self._keep(frame, next_seq)
        finally:
            camera.close()
        if self._stop.is_set():
            return False
        if camera.is_live or next_seq == 0:
            raise CameraUnavailable(camera.name, "the source gives no more frames", "look at the camera")
        return True

    def _keep(self, frame: Frame, next_seq: int) -> int:
        with self._changed:
            if self._every_frame:
                self._changed.wait_for(lambda: self._frame is None or self._stop.is_set())
            elif self._frame is not None:
                self.frames_dropped += 1
            self.frames_dropped += max(0, frame.seq - next_seq)
            self.frames_captured += 1
            self._frame = frame
            self._first_frame_s = self._first_frame_s or time.monotonic()
            if self._state == "lost":
                self.reopened += 1
                self._become("ok", f"reopened={self.reopened}")
            self._changed.notify_all()
        self._on_news()
        return frame.seq + 1

    def _lose(self, error: CameraUnavailable) -> None:
        self.last_error = error
        if not self._was_opened:
            self.name = error.source
        self._become("lost", f'reason="{error.reason}" do="{error.what_to_do}"')

    def _become(self, state: State, why: str) -> None:
        with self._changed:
            if state == self._state:
                return
            self._state = state
            self._changed.notify_all()
        self._on_news()
        _log.log(
            logging.WARNING if state == "lost" else logging.INFO,
            "camera=%s state=%s %s",
            self.name,
            state,
            why,
        )
