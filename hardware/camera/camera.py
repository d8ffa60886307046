"""What every camera driver offers; nothing of threads, dropping or reopening (see `capture.py`)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Protocol

from hardware.camera.frame import Frame


class Camera(Protocol):
    """One opened image source."""

    @property
    def name(self) -> str:
        """The source for people and logs, credentials masked."""

    @property
    def is_live(self) -> bool:
        """Whether frames come when the world says so; a file is not live and may be read again."""

    def frames(self, stop: threading.Event) -> Iterator[Frame]:
        """Yield frames until `stop` is set or a finite source ends.

        A frame's memory is its taker's, who paints masks on it: the driver neither reads nor fills it again.

        Raises:
            CameraUnavailable: If the source gives no more frames though it should.
        """

    def close(self) -> None:
        """Let go of the device or connection; may be called twice, and from another thread."""
