"""Tracks made by hand, for tests of rules."""

import numpy as np

from device.firmware.tracks import Tracks
from device.models.labels import CLASSES

CAR, PERSON, BUS, BICYCLE = (CLASSES.index(name) for name in ("car", "person", "bus", "bicycle"))


def at(*feet, width=0.1, height=0.1, **more):
    """Tracks from (id, class, x, y) of their bottom centres; `more` are fields of `Tracks`."""
    boxes = [(x - width / 2, y - height, x + width / 2, y) for _, _, x, y in feet]
    return Tracks(
        ids=np.array([f[0] for f in feet], np.int64),
        classes=np.array([f[1] for f in feet], np.int64),
        scores=np.full(len(feet), 0.9, np.float32),
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        **more,
    )


def told(rule, way, times, *, track=1, cls=CAR, width=0.1):
    """What a rule makes of one object at `way(t)`, or unseen for None: (t, happening)."""
    found = []
    for t in times:
        place = way(t)
        tracks = at((track, cls, *place), width=width) if place is not None else at()
        found += [(t, happening) for happening in rule.apply(tracks, float(t))]
    return found
