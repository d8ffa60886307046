"""What a camera's own process costs: time a frame on the device's side, and memory."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import psutil

from hardware.camera.isolated import IsolatedCamera
from hardware.camera.sharing import Order
from hardware.camera.sources import open_camera
from tests.bench.table import Row

FRAMES = 400
OPENER = "tests.bench.camera_process:open_still"


class _Still:
    """The same 640x480 picture as fast as it is taken: what is measured is the way, not a driver."""

    name, is_live = "still", True

    def __init__(self) -> None:
        self._frame = next(open_camera("street", width=640, height=480).frames(threading.Event()))

    def frames(self, stop):
        while not stop.is_set():
            yield self._frame

    def close(self):
        """Nothing is held."""


def open_still(source: str, **order: object) -> _Still:
    """Opened in the child."""
    del source, order
    return _Still()


def measure(data: Path) -> list[Row]:
    """Take frames through the process, and copy the same picture once for comparison."""
    del data
    camera, stop = IsolatedCamera(Order("still", every_frame=True, opener=OPENER)), threading.Event()
    frames = camera.frames(stop)
    picture = next(frames).pixels
    child = psutil.Process(camera.pid)
    cpu, began, between = time.thread_time(), time.perf_counter(), []
    for _ in range(FRAMES):
        next(frames)
        between.append(time.perf_counter() - began)
        began = time.perf_counter()
    ours = (time.thread_time() - cpu) * 1000 / FRAMES
    memory = child.memory_full_info()
    stop.set()
    camera.close()
    began = time.perf_counter()
    for _ in range(FRAMES):
        picture.copy()
    copy = (time.perf_counter() - began) * 1000 / FRAMES
    return [
        Row(
            "a 640x480 I420 frame out of a camera's process, our thread's time",
            f"{ours:.3f} ms",
            f"one copy of the picture: {copy:.3f} ms",
            f"{ours / copy:.1f}",
        ),
        Row("the same from question to frame, p50", f"{np.median(between) * 1000:.3f} ms"),
        Row(
            "memory of a camera's process",
            f"{memory.rss / 2**20:.0f} MB resident, {memory.pss / 2**20:.0f} MB of it its share (PSS)",
        ),
    ]
