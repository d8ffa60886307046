"""A camera whose driver runs in a process of its own; to `capture.py` a camera as any other.

A driver that hangs, crashes or is killed ends only its own process: the parent hears no beat or no frame for
too long, or the socket's end, kills what is left, and says that the camera is lost. `capture.py` reopens it.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from hardware.camera.camera import Camera
from hardware.camera.frame import Frame
from hardware.camera.sharing import (
    ASK,
    MAX_WORD_BYTES,
    Ended,
    Failed,
    Handed,
    Opened,
    Order,
    Said,
    SharedPicture,
    Word,
    decode_word,
)
from hardware.camera.sources import has_driver, open_camera, shown
from hardware.errors import CameraUnavailable

_log = logging.getLogger(__name__)

_POLL_S: Final = 0.1
_END_S: Final = 3.0
_WHAT_TO_DO: Final = "it is opened again by itself; if it comes back, look at the cable, power and driver"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a camera's process may be silent; all in seconds.

    Attributes:
        beat_s: Without a word from the process, once it gave frames.
        open_s: Without the first frame.
        frame_s: Without a further frame, or three frames' time if that is longer.
    """

    beat_s: float = 15.0
    open_s: float = 60.0
    frame_s: float = 15.0

    def next_frame_s(self, fps: float) -> float:
        """How long to wait for the next frame of a camera that gives `fps` frames per second at most."""
        return max(self.frame_s, 3.0 / fps)


def opener_of(order: Order, *, own_process: bool | None = None) -> Callable[[], Camera]:
    """What `Capture` calls to open a camera.

    Args:
        order: Which camera.
        own_process: Whether its driver gets a process; None: hardware and network cameras get one, files and
            the simulated street, which cannot hang, do not.
    """
    if has_driver(order.source) if own_process is None else own_process:
        return lambda: IsolatedCamera(order)
    return lambda: open_camera(
        order.source,
        width=order.width,
        height=order.height,
        fps=order.fps,
        every_frame=order.every_frame,
        loop=order.loop,
    )


class IsolatedCamera:
    """A camera in a process of its own.

    Args:
        order: Which camera.
        patience: When it is given up.
    """

    def __init__(self, order: Order, patience: Patience | None = None) -> None:
        self.name = shown(order.source)
        self.is_live = True
        self._order = order
        self._patience = patience or Patience()
        self._closing = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._memory: SharedPicture | None = None

    @property
    def pid(self) -> int | None:
        """The process's number while there is one."""
        return None if self._process is None else self._process.pid

    def frames(self, stop: threading.Event) -> Iterator[Frame]:
        """Start the process and yield its frames until `stop` is set or a finite source ends.

        Raises:
            CameraUnavailable: If the camera fails, or its process ends or is silent for too long.
        """
        channel, memory = self._start()
        channel.send(ASK)
        has_frames, due_s = False, time.monotonic() + self._patience.open_s
        while not stop.is_set():
            word = self._hear(channel, stop, self._patience.beat_s if has_frames else self._patience.open_s)
            if isinstance(word, Handed):
                frame = self._taken(memory, word)
                channel.send(ASK)
                yield frame
                has_frames, due_s = True, time.monotonic() + self._patience.next_frame_s(self._order.fps)
            elif isinstance(word, Ended):
                return
            elif isinstance(word, Failed):
                raise CameraUnavailable(word.source or self.name, word.reason, word.what_to_do)
            elif time.monotonic() >= due_s:
                raise self._hangs("no frame came in time")
            else:
                self._note(word)

    def close(self) -> None:
        """End the process, by force if it does not end by itself within 3 s."""
        with self._closing:
            if self._channel is not None:
                self._channel.close()
            if self._memory is not None:
                self._memory.close()
            if self._process is not None:
                _end(self._process, self.name)

    def _start(self) -> tuple[socket.socket, SharedPicture]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel, self._memory = ours, SharedPicture.make()
        command = [sys.executable, "-m", "hardware.camera.child"]
        arguments = [str(number) for number in (theirs.fileno(), self._memory.fd, os.getpid())]
        with theirs:
            try:
                self._process = subprocess.Popen(  # noqa: S603 (our own module)
                    [*command, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(), self._memory.fd),
                    env=_environment(),
                )
            except OSError as error:
                reason = f"its process cannot be started ({error.strerror})"
                raise CameraUnavailable(self.name, reason, "free some memory") from error
        ours.send(msgspec.json.encode(self._order))
        ours.settimeout(_POLL_S)
        return ours, self._memory

    def _hear(self, channel: socket.socket, stop: threading.Event, patience_s: float) -> Word | None:
        """The next word of the process; None once `stop` is set.

        Raises:
            CameraUnavailable: If it has ended, says what makes no sense, or says nothing for so long.
        """
        due_s = time.monotonic() + patience_s
        while not stop.is_set():
            try:
                data = channel.recv(MAX_WORD_BYTES)
            except TimeoutError:
                if time.monotonic() >= due_s:
                    raise self._hangs("its process is stuck") from None
                continue
            except OSError as error:
                raise self._died() from error
            if not data:
                raise self._died()
            return self._understood(data)
        return None

    def _note(self, word: Word | None) -> None:
        if isinstance(word, Opened):
            self.is_live = word.is_live
        elif isinstance(word, Said):
            _log.log(word.level, "camera=%s %s", self.name, word.text)

    def _understood(self, data: bytes) -> Word:
        try:
            return decode_word(data)
        except ValueError as error:
            self._kill()
            raise CameraUnavailable(self.name, "its process said what makes no sense", _WHAT_TO_DO) from error

    def _taken(self, memory: SharedPicture, handed: Handed) -> Frame:
        try:
            return memory.take(handed)
        except ValueError as error:
            self._kill()
            raise CameraUnavailable(self.name, str(error), _WHAT_TO_DO) from error

    def _hangs(self, reason: str) -> CameraUnavailable:
        self._kill()
        return CameraUnavailable(self.name, f"the driver hangs: {reason}", _WHAT_TO_DO)

    def _died(self) -> CameraUnavailable:
        process = self._process
        assert process is not None
        try:
            code = process.wait(_END_S)
        except subprocess.TimeoutExpired:
            return self._hangs("its process hung up and does not end")
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        return CameraUnavailable(self.name, f"the driver's process {how}", _WHAT_TO_DO)

    def _kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()


def _end(process: subprocess.Popen[bytes], name: str) -> None:
    """Wait for the process, which has seen the end of its socket; then kill it. Leaves no zombie."""
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        try:
            process.wait(_END_S)
        except (
            subprocess.TimeoutExpired
        ):  # it sits in the kernel; reaped with the next process that is started
            _log.warning(
                "camera=%s pid=%d cannot be killed: its driver hangs in the kernel", name, process.pid
            )


def _environment() -> dict[str, str]:
    """Ours, without the way to the service manager, and without BLAS threads, which cost memory."""
    return {key: value for key, value in os.environ.items() if key != "NOTIFY_SOCKET"} | {
        "OPENBLAS_NUM_THREADS": "1"
    }
