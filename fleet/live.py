"""The live view without pixels: leases while somebody looks, and the newest frame of each camera.

A page calls `look` while it is open; the device is asked again every 15 s and stops by itself 30 s
after the last request. Frames are never stored; those nobody looks at are dropped at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from ota.messages import Channel, Command, LiveFrame, Message, Topic, format_ts, new_id

LEASE_S: Final = 30
RENEW_S: Final = 15.0
Publish = Callable[[Topic, Message], bool]
Camera = tuple[str, str]
"""Device and camera."""


class Live:
    """Leases and newest frames, for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked_s: dict[Camera, float] = {}
        self._looked_s: dict[Camera, float] = {}
        self._frames: dict[Camera, LiveFrame] = {}

    def look(self, device: str, cam: str, publish: Publish, *, now_s: float, utc_s: float) -> None:
        """Say that somebody looks right now; asks the device when the lease is due.

        Args:
            device: whose camera it is.
            cam: the camera.
            publish: sends a message, says whether it could.
            now_s: monotonic seconds.
            utc_s: Unix seconds, for the deadline in the command.

        Raises:
            BadTopic: the device id is not allowed.
        """
        camera = (device, cam)
        with self._lock:
            self._looked_s[camera] = now_s
            self._forget_unwatched(now_s)
            if now_s - self._asked_s.get(camera, float("-inf")) < RENEW_S:
                return
            self._asked_s[camera] = now_s
        command = Command(
            id=new_id(),
            ts=format_ts(utc_s),
            deadline=format_ts(utc_s + LEASE_S),
            args={"cam": cam, "lease_s": LEASE_S},
        )
        if not publish(Topic(device, Channel.COMMAND, name="live"), command):
            with self._lock:
                self._asked_s.pop(camera, None)

    def show(self, device: str, frame: LiveFrame) -> None:
        """Take a frame as it comes; kept only while somebody looks at its camera."""
        with self._lock:
            looked_s = self._looked_s.get((device, frame.cam))
            if looked_s is not None and time.monotonic() - looked_s < LEASE_S:
                self._frames[device, frame.cam] = frame

    def newest(self, device: str, cam: str) -> LiveFrame | None:
        """Return the newest frame of a camera, or None."""
        with self._lock:
            return self._frames.get((device, cam))

    def _forget_unwatched(self, now_s: float) -> None:
        for camera in [c for c, looked_s in self._looked_s.items() if now_s - looked_s > LEASE_S]:
            self._looked_s.pop(camera)
            self._asked_s.pop(camera, None)
            self._frames.pop(camera, None)
