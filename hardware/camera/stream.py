"""A network camera: RTSP, HTTP or TCP read with PyAV; it does not reconnect (see `capture.py`).

Every picture is decoded, since each needs the one before, but only as many as `fps` asks are converted.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator

from hardware.camera.frame import Frame
from hardware.camera.rate import Rate
from hardware.camera.video import Video, fitted, to_i420, upright_size
from hardware.errors import CameraUnavailable

SCHEMES = ("rtsp://", "rtsps://", "http://", "https://", "tcp://")
"""Addresses that this driver reads."""

_SECRET = re.compile(
    r"([?#=]|(?<=/)[^/?#=]*?(?:user|passw(?:or)?d|pwd|token|secret)[^a-z0-9]).*$", re.I | re.S
)
_OPEN_S = 10.0
_READ_S = 5.0
_WHAT_TO_DO = "check that the camera has power and network, and try the address and password in a player"


def masked(address: str) -> str:
    """An address without user, password and query, for logs; rather too much hidden than less.

    Some cameras take the login in the path (`/user=admin&password=...`, `/user_admin_password_...`): nothing
    is shown after the first `=`, nor after a word for a login.
    """
    without_login = re.sub(r"^(\w+:/*).*@", r"\1***@", address, flags=re.DOTALL)
    return _SECRET.sub(r"\1***", without_login)


class StreamCamera:
    """A network stream as a camera.

    Args:
        address: URL of one of `SCHEMES`.
        size: Most pixels (across, down) of a frame; pictures are made smaller to fit, keeping their shape.
        fps: Most frames per second; 0 for all.
        timeout_s: Seconds that connecting, and each wait for data, may take.

    Raises:
        CameraUnavailable: If nothing answers or it is no video.
    """

    is_live = True

    def __init__(
        self,
        address: str,
        *,
        size: tuple[int, int],
        fps: float,
        timeout_s: tuple[float, float] = (_OPEN_S, _READ_S),
    ) -> None:
        self.name = masked(address)
        self._size, self._fps = size, fps
        options = {"fflags": "nobuffer", "flags": "low_delay"}
        if address.startswith("rtsp"):
            options |= {"rtsp_transport": "tcp", "timeout": str(int(timeout_s[1] * 1e6))}
        self._video = Video(
            address, name=self.name, what_to_do=_WHAT_TO_DO, options=options, timeout_s=timeout_s
        )

    def frames(self, stop: threading.Event) -> Iterator[Frame]:
        """Yield frames until `stop` is set; after it is set, waits at most for the data under way.

        Raises:
            CameraUnavailable: If the stream ends, breaks, or brings nothing in time.
        """
        seq, rate = 0, Rate(self._fps)
        for decoded in self._video.decode():
            if stop.is_set():
                return
            now_s = time.monotonic()
            if not rate.lets_through(now_s):
                continue
            size = fitted(*upright_size(decoded.picture), self._size)
            pixels = to_i420(decoded.picture, size)
            yield Frame(pixels, "i420", *size, mono_s=now_s, utc_s=time.time(), seq=seq)
            seq += 1
        if not stop.is_set():
            raise CameraUnavailable(self.name, "the stream ended", _WHAT_TO_DO)

    def close(self) -> None:
        """Hang up."""
        self._video.close()
