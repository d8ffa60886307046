"""The model: what its card says, what it computes, and whether it is quick enough for the cameras."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from statistics import median
from typing import Final

import numpy as np

from device.check.finding import Finding, ok, warn
from device.check.finding import fail as failed
from device.errors import PehraDeviceError
from device.firmware.config import Config
from device.models.bundle import load_bundle
from device.models.detector import Detector
from device.models.examine import examine
from device.models.verify import verify
from hardware.board import Profile
from hardware.camera.frame import Frame

ROUNDS: Final = 8
BUSY: Final = 0.7
"""Share of a frame's time that the model may take, so that the rest has some too."""


def look_at_model(config: Config, profile: Profile, stop: threading.Event) -> Iterator[Finding]:
    """Verify the model as `pehra models verify` does, then run it as this device would.

    Args:
        config: which model, how many threads, which cameras.
        profile: of this board, for what to try instead.
        stop: the time is over.
    """
    try:
        found = look_at_content(config.model.name)
        yield found
        if found.result == "ok" and not stop.is_set():
            yield judge_pace(config, profile, _invoke_ms(config, stop))
    except PehraDeviceError as error:
        yield failed("model", str(error), "docs/models.md")


def look_at_content(name: str) -> Finding:
    """Verify a model as `pehra models verify` does: its card, and what it computes here.

    Raises:
        ModelUnavailable: there is no such model.
    """
    wrong = [check for check in verify(examine(name)) if check.state == "WRONG"]
    if wrong:
        words = f"{name}: {wrong[0].name}: {wrong[0].says}"
        return failed("model", words, "install it again (docs/models.md)")
    return ok("model", f"{name} is what its card says")


def judge_pace(config: Config, profile: Profile, invoke_ms: float) -> Finding:
    """Compare the time of one inference with the time that the cameras leave for it."""
    fps = sum(camera.fps for camera in config.camera)
    budget_ms = 1000.0 / fps
    threads = config.model.threads
    said = f"{invoke_ms:.1f} ms an invoke with {threads} thread(s), {budget_ms:.0f} ms a frame at {fps:g} fps"
    if invoke_ms <= BUSY * budget_ms:
        return ok("model: pace", said)
    fits = BUSY * 1000.0 / invoke_ms / len(config.camera)
    advice = profile.advice
    way = (
        f"set fps to {fits:.1f} for each camera, or begin with what suits this board: "
        f"{advice.model}, {advice.threads} threads, {advice.fps:g} fps"
    )
    return warn("model: pace", f"{said}: frames will be left out", way)


def _invoke_ms(config: Config, stop: threading.Event) -> float:
    """Median of some inferences on noise, in milliseconds, the first one aside."""
    bundle = load_bundle(config.model.name, int8_only=True)
    detector = Detector(bundle, conf=config.model.conf, threads=config.model.threads)
    pixels = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    frame, times = Frame(pixels, "rgb", 640, 480, mono_s=0.0, utc_s=0.0, seq=0), []
    for _ in range(ROUNDS + 1):
        detector.detect(frame)
        times.append(detector.last_invoke_ms)
        if stop.is_set():
            break
    return float(median(times[1:] or times))
