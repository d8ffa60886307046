"""Drivers that go wrong, for a camera's process: each function opens one, named in `Order.opener`.

`source` is a folder in which they leave a note of each opening, so that a test can see it.
"""

from __future__ import annotations

import ctypes
import logging
import os
import threading
import time
from pathlib import Path

import numpy as np

from hardware.camera.frame import Frame


class Odd:
    """A camera of 64x48; `misbehave` is called with each frame's number before it is given."""

    is_live = True
    name = "odd"

    def __init__(self, source, misbehave, *, fps=50.0, size=lambda seq: (64, 48)):
        self.misbehave, self.fps, self.size = misbehave, fps, size
        with (Path(source) / "openings").open("a") as file:
            file.write(f"{os.getpid()}\n")

    def frames(self, stop):
        seq = 0
        while not stop.wait(1 / self.fps):
            self.misbehave(seq)
            width, height = self.size(seq)
            pixels = np.full((height * 3 // 2, width), seq % 251, np.uint8)
            yield Frame(pixels, "i420", width, height, mono_s=time.monotonic(), utc_s=time.time(), seq=seq)
            seq += 1

    def close(self):
        """Nothing is held."""


def openings(folder):
    """The process numbers of all openings so far, in their order."""
    file = Path(folder) / "openings"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def _well(seq):
    """All is well."""


def steady(source, **order):
    return Odd(source, _well)


def hasty(source, **order):
    return Odd(source, _well, fps=2000.0)


def hanging_in_open(source, **order):
    Odd(source, _well)
    threading.Event().wait()


def _hang(seq):
    if seq == 3:
        threading.Event().wait()


def hanging_in_read(source, **order):
    return Odd(source, _hang)


def _hold_the_interpreter(seq):
    if seq == 3:
        ctypes.PyDLL(None).pause()  # PyDLL keeps the GIL: not even the beat runs


def stuck(source, **order):
    return Odd(source, _hold_the_interpreter)


def _crash(seq):
    if seq == 3:
        ctypes.string_at(0)


def crashing(source, **order):
    return Odd(source, _crash)


def _leave(seq):
    if seq == 3:
        os._exit(7)


def leaving(source, **order):
    return Odd(source, _leave)


def _chatter(seq):
    while seq == 3:
        logging.getLogger(__name__).warning("no buffer")


def chattering(source, **order):
    return Odd(source, _chatter)


def growing(source, **order):
    return Odd(source, _well, size=lambda seq: (64, 48) if seq % 2 else (64 + 2 * seq, 48 + 2 * seq))


class _Garbage(Odd):
    def frames(self, stop):
        yield from (object() for _ in range(1))


def garbage(source, **order):
    return _Garbage(source, _well)


class _Wrong(Odd):
    def frames(self, stop):
        yield Frame(np.zeros((3, 3), np.uint8), "i420", 64, 48, mono_s=0.0, utc_s=0.0, seq=0)


def wrong_shape(source, **order):
    return _Wrong(source, _well)


def enormous(source, **order):
    return Odd(source, _well, size=lambda seq: (8192, 8192))


class _Talking(Odd):
    def frames(self, stop):
        from hardware.camera import child

        del child
        for number in range(3, 20):  # whatever socket this process has, it hears nonsense
            try:
                os.write(number, b"\xff nonsense")
            except OSError:
                continue
        stop.wait()
        yield from ()


def talking_nonsense(source, **order):
    return _Talking(source, _well)
