"""The detector that looks; it may be changed for another between two frames, and nothing goes unseen.

All cameras of a device share one `Looking`. The thread that looks calls `detect`; another one loads the next
detector while the old one goes on, and calls `change`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

import numpy as np

from device.models.bundle import Bundle
from device.models.detections import Detections
from device.models.detector import Detector
from device.models.labels import CLASSES, classes_of
from hardware.camera.frame import Frame
from ota.messages import ModelInfo

WINDOW: Final = 2000
"""Inferences of which the times are kept."""


class Looking:
    """See the module.

    Args:
        detector: that looks first.

    Attributes:
        detector: that looks now.
        info: what a report says of it.
        invoke_ms: times of its last inferences, milliseconds.
        on_change: told what looks from now on.
    """

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        self.info = model_info(detector.bundle)
        self.invoke_ms: deque[float] = deque(maxlen=WINDOW)
        self.on_change: Callable[[ModelInfo], None] = lambda info: None
        self._last_invoke_ms = 0.0

    def detect(self, frame: Frame) -> Detections:
        """Return what is in a frame."""
        detector, times = self.detector, self.invoke_ms
        found = detector.detect(frame)
        self._last_invoke_ms = detector.last_invoke_ms
        times.append(self._last_invoke_ms)
        return found

    @property
    def last_invoke_ms(self) -> float:
        """How long the model itself took on the last frame."""
        return self._last_invoke_ms

    def change(self, detector: Detector) -> None:
        """Let another look from the next frame on."""
        # Times first: a frame that is being looked at now still counts for the one that looks at it.
        self.invoke_ms = deque(maxlen=WINDOW)
        self.detector, self.info = detector, model_info(detector.bundle)
        self.on_change(self.info)


def warmed(detector: Detector) -> Detector:
    """Let a detector look at a grey picture: the first inference of a model is its slowest."""
    card = detector.bundle.card.input
    pixels = np.full((card.height, card.width, 3), 114, np.uint8)
    detector.detect(Frame(pixels, "rgb", card.width, card.height, mono_s=0.0, utc_s=0.0, seq=0))
    return detector


def model_info(bundle: Bundle) -> ModelInfo:
    """Return what a report says of a model."""
    known = sorted({int(cls) for cls in classes_of(bundle.card.labels) if cls >= 0})
    return ModelInfo(
        bundle.card.name[:200], bundle.card.version[:200], bundle.sha256, [CLASSES[cls] for cls in known]
    )
