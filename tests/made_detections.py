"""Detections made by hand, for tests of the tracker."""

import numpy as np

from device.models.detections import Detections
from device.models.labels import CLASSES

CAR, PERSON = CLASSES.index("car"), CLASSES.index("person")


def seen(*objects):
    """Detections from (class, score, (left, top, right, bottom))."""
    return Detections(
        classes=np.array([o[0] for o in objects], np.int64),
        scores=np.array([o[1] for o in objects], np.float32),
        boxes=np.array([o[2] for o in objects], np.float32).reshape(-1, 4),
    )


def box(x, y, width=0.1, height=0.1):
    """Left, top, right, bottom."""
    return (x, y, x + width, y + height)
