"""A camera in a process of its own: `python -m hardware.camera.child SOCKET MEMORY PARENT`.

Started by `isolated.py` only. The driver reads in one thread; the main thread answers the parent and beats.
The process ends when the parent closes the socket or dies, even while the driver holds on.
"""

from __future__ import annotations

import ctypes
import faulthandler
import logging
import os
import signal
import socket
import sys
import threading
import time
from importlib import import_module
from typing import TYPE_CHECKING, Final

import msgspec

from hardware.core_dump import forbid_core_dumps

if TYPE_CHECKING:
    from hardware.camera.camera import Camera
    from hardware.camera.frame import Frame
    from hardware.camera.sharing import Order, SharedPicture, Word

BEAT_S: Final = 1.0
DRIVER_END_S: Final = 2.0
LINES_A_MINUTE: Final = 20

_PR_SET_PDEATHSIG: Final = 1
"""linux/prctl.h: the signal that a process gets when its parent dies."""


class HandOver:
    """The newest frame on its way to the parent; one that nobody asks for is replaced by the next."""

    def __init__(self, channel: socket.socket, memory: SharedPicture, *, every_frame: bool) -> None:
        self._channel = channel
        self._memory = memory
        self._every_frame = every_frame
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._is_wanted = False
        self.stop = threading.Event()

    def offer(self, frame: Frame) -> None:
        """The driver has a frame; with `every_frame` it waits until the one before was taken.

        Raises:
            ValueError: If it is larger than any camera's picture should be.
        """
        from hardware.camera.sharing import MAX_FRAME_BYTES

        if frame.pixels.nbytes > MAX_FRAME_BYTES:
            raise ValueError(f"a picture of {frame.width}x{frame.height} is too large: ask for a smaller one")
        with self._changed:
            if self._every_frame:
                self._wait_until_taken()
            self._frame = frame
            self._hand_over()

    def ask(self) -> None:
        """The parent wants the next frame."""
        with self._changed:
            self._is_wanted = True
            self._hand_over()

    def finish(self) -> None:
        """Wait until the parent has the last frame of a finite source."""
        with self._changed:
            self._wait_until_taken()

    def end(self) -> None:
        """The parent wants nothing more."""
        self.stop.set()
        with self._changed:
            self._changed.notify_all()

    def say(self, word: Word) -> None:
        """Tell the parent; a parent that is gone is told by the end of the socket."""
        from hardware.camera.sharing import encode_word

        try:
            self._channel.send(encode_word(word))
        except OSError:
            self.stop.set()

    def _wait_until_taken(self) -> None:
        self._changed.wait_for(lambda: self._frame is None or self.stop.is_set())

    def _hand_over(self) -> None:
        from hardware.camera.sharing import Handed

        frame = self._frame
        if frame is None or not self._is_wanted:
            return
        self._memory.put(frame)
        self._frame, self._is_wanted = None, False
        self.say(Handed(frame.layout, frame.width, frame.height, frame.mono_s, frame.utc_s, frame.seq))
        self._changed.notify_all()


class _Telling(logging.Handler):
    """Log lines go to the parent, which writes all of the device's; so many a minute, for the card's sake."""

    def __init__(self, hand_over: HandOver) -> None:
        super().__init__()
        self._hand_over = hand_over
        self._minute_s, self._lines = 0.0, 0

    def emit(self, record: logging.LogRecord) -> None:
        from hardware.camera.sharing import Said

        now_s = time.monotonic()
        if now_s >= self._minute_s + 60.0:
            self._minute_s, self._lines = now_s, 0
        self._lines += 1
        if self._lines <= LINES_A_MINUTE:
            self._hand_over.say(Said(record.levelno, self.format(record)))


def main(arguments: list[str]) -> None:
    """Serve the parent until it has enough."""
    forbid_core_dumps()
    faulthandler.enable()
    channel_fd, memory_fd, parent = map(int, arguments)
    _die_with(parent)
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)  # meant for the parent, which ends us in order
    channel = socket.socket(fileno=channel_fd)
    channel.send(b'{"type":"beat"}')  # before the imports below, which take seconds on a small board
    from hardware.camera.sharing import MAX_WORD_BYTES, Order, SharedPicture

    order = msgspec.json.decode(channel.recv(MAX_WORD_BYTES), type=Order)
    hand_over = HandOver(channel, SharedPicture(memory_fd), every_frame=order.every_frame)
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[_Telling(hand_over)])
    driver = threading.Thread(target=_drive, args=(order, hand_over), name="driver", daemon=True)
    driver.start()
    _serve(channel, hand_over)
    hand_over.end()
    driver.join(DRIVER_END_S)
    os._exit(0)  # a driver that holds on, or its library's threads, must not keep the process


def _serve(channel: socket.socket, hand_over: HandOver) -> None:
    """Answer the parent, and beat while it asks for nothing, until it hangs up."""
    from hardware.camera.sharing import Beat

    channel.settimeout(BEAT_S)
    while not hand_over.stop.is_set():
        try:
            if not channel.recv(64):
                return
            hand_over.ask()
        except TimeoutError:
            hand_over.say(Beat())
        except OSError:
            return


def _drive(order: Order, hand_over: HandOver) -> None:
    """Open the camera and read it to its end; tell how it ended."""
    from hardware.camera.sharing import Ended, Failed, Opened
    from hardware.errors import CameraUnavailable

    try:
        camera = _open(order)
        try:
            hand_over.say(Opened(camera.is_live))
            for frame in camera.frames(hand_over.stop):
                hand_over.offer(frame)
            hand_over.finish()
        finally:
            camera.close()
        hand_over.say(Ended())
    except CameraUnavailable as error:
        hand_over.say(Failed(error.source, error.reason, error.what_to_do))
    except Exception as error:  # a driver's library failed as it never should: lost, and told
        logging.getLogger(__name__).exception("driver_failed=%s", type(error).__name__)
        hand_over.say(Failed("", f"{type(error).__name__}: {error}"[:500], "read the log"))


def _open(order: Order) -> Camera:
    module, _, function = order.opener.partition(":")
    camera: Camera = getattr(import_module(module), function)(
        order.source,
        width=order.width,
        height=order.height,
        fps=order.fps,
        every_frame=order.every_frame,
        loop=order.loop,
    )
    return camera


def _die_with(parent: int) -> None:
    """Be killed when the parent dies: a driver that holds the interpreter keeps the socket unread."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
