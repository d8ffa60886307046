"""How the device is: numbers from the board, the cameras and the outbox, as one message.

Reads, never decides; the clock comes in.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import psutil

from device.firmware.board_watch import BoardWatch
from device.firmware.clock import clock_state
from ota.messages import Health, encode, format_ts, new_id
from ota.messages.structs import CameraState

HEALTH_BYTES: Final = 400
SHED_FIRST: Final = ("power_mw", "sd_wear_pct", "infer_ms_p95", "skipped_pct", "infer_ms_p50")
"""Fields that a message which would be too long does without, the least needed first."""


class Pace:
    """Frames per second and inference times over the last window, for health and the summary."""

    def __init__(self, window: int = 600) -> None:
        self._invoke_ms: deque[float] = deque(maxlen=window)
        self._frames = 0
        self._skipped = 0
        self._since_s = 0.0
        self.fps = 0.0
        self.skipped_pct = 0.0

    def note_inference(self, invoke_ms: float) -> None:
        """Remember one inference."""
        self._invoke_ms.append(invoke_ms)

    def measure(self, frames: int, skipped: int, mono_s: float) -> None:
        """Compute the rates since the last call from running totals."""
        elapsed_s = mono_s - self._since_s
        if self._since_s and elapsed_s > 0:
            new = frames - self._frames
            self.fps = new / elapsed_s
            self.skipped_pct = 100.0 * (skipped - self._skipped) / new if new else 0.0
        self._frames, self._skipped, self._since_s = frames, skipped, mono_s

    def invoke_ms(self, percentile: float) -> float | None:
        """Return a percentile (0..100) of the interpreter's `invoke` in milliseconds, None without one."""
        if not self._invoke_ms:
            return None
        return round(float(np.percentile(list(self._invoke_ms), percentile)), 2)


def health_message(
    *,
    state: Path,
    board: BoardWatch,
    utc_s: float,
    uptime_s: float,
    pace: Pace,
    outbox_depth: int,
    outbox_dropped: int,
    frames_dropped: int,
    cameras: dict[str, CameraState],
) -> Health:
    """Gather one health message; `state` is the folder whose disk is measured."""
    reading = board.reading
    message = Health(
        id=new_id(),
        ts=format_ts(utc_s),
        clock=clock_state(utc_s),
        uptime_s=round(uptime_s, 1),
        cpu_pct=round(min(100.0, psutil.cpu_percent(interval=None)), 1),
        mem_pct=round(psutil.virtual_memory().percent, 1),
        disk_pct=round(psutil.disk_usage(str(state)).percent, 1),
        fps=round(pace.fps, 2),
        skipped_pct=round(min(100.0, max(0.0, pace.skipped_pct)), 1),
        infer_ms_p50=pace.invoke_ms(50),
        infer_ms_p95=pace.invoke_ms(95),
        temp_c=None if reading.temp_c is None else round(reading.temp_c, 1),
        throttled=reading.throttled,
        under_voltage=reading.under_voltage,
        thermal_step=board.warmth.step,
        sd_wear_pct=reading.sd_wear_pct,
        power_mw=reading.power_mw,
        outbox=outbox_depth,
        outbox_dropped=outbox_dropped,
        dropped=frames_dropped,
        cameras={camera: state for camera, state in cameras.items() if state != "ok"},
    )
    return within_limit(message)


def within_limit(message: Health, limit_bytes: int = HEALTH_BYTES) -> Health:
    """Return the message without its least needed fields, as many as must go to be short enough.

    What a person acts on stays (temperature, under-voltage, disk); the last to go are cameras, which have
    alarms of their own, from the end of their list.
    """
    for field in SHED_FIRST:
        if len(encode(message)) <= limit_bytes:
            return message
        message = msgspec.structs.replace(message, **{field: 0.0 if field == "skipped_pct" else None})
    while message.cameras and len(encode(message)) > limit_bytes:
        message = msgspec.structs.replace(message, cameras=dict(list(message.cameras.items())[:-1]))
    return message
