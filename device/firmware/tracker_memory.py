"""What the tracker knows of objects that it does not see: who came back, and who stands where nothing moves.

Pure functions of the table of tracks; nothing here changes it.
"""

from __future__ import annotations

from math import ceil, floor

import numpy as np
import numpy.typing as npt

from device.firmware.tracker_kalman import SMALLEST, centred
from device.firmware.tracker_match import IMPOSSIBLE, assign
from device.firmware.tracker_settings import TrackerSettings
from device.firmware.tracker_table import Float, Rows, Table

Pair = tuple[int, int]
"""Row of a lost track, row of the track that is the same object."""


def same_objects(
    table: Table, lost: Rows, young: Rows, now_s: float, settings: TrackerSettings
) -> list[Pair]:
    """Find lost tracks that go on under a new number.

    A lost track is led on to the moment and place where the young one began; it must have come near it, by a
    reach that grows with the time out of sight, at about the same height and as the same class, and no other
    pair may be nearly as good.

    Args:
        table: the tracks, predicted for this moment.
        lost: rows of tracks out of sight.
        young: rows of tracks that count since a short while.
        now_s: this moment.
        settings: the reaches.
    """
    if not len(lost) or not len(young):
        return []
    young = young[table.born_s[young] > table.seen_s[lost].min()]
    lost = lost[table.seen_s[lost] < table.born_s[young].max(initial=-np.inf)]
    if not len(young):
        return []
    born_s, began = table.born_s[young], centred(table.first[young])
    hidden_s = born_s - table.seen_s[lost][:, None]
    back_s = (now_s - born_s)[:, None]
    then = table.place[lost][:, None] - table.speed[lost][:, None] * back_s
    size = np.maximum(then[..., 2:], SMALLEST)
    apart = then[..., :2] - began[:, :2]
    scale = np.sqrt(size.max(axis=2) * began[:, 2:].max(axis=1))
    distance = np.sqrt((apart * apart).sum(axis=2)) / scale
    growth = np.abs(np.log(size[..., 1] / began[:, 3]))
    reach = np.minimum(settings.reach + settings.reach_speed * np.maximum(hidden_s, 0.0), settings.most_reach)
    classes = table.votes.argmax(axis=1)
    impossible = (hidden_s <= 0.0) | (distance > reach) | (growth > settings.reach_size)
    impossible |= classes[lost][:, None] != classes[young]
    if impossible.all():
        return []
    cost = np.where(impossible, IMPOSSIBLE, distance / reach + growth)
    pairs = zip(*assign(cost), strict=True)
    return [(int(lost[i]), int(young[j])) for i, j in pairs if _leads(cost, i, j, settings.reach_lead)]


def _leads(cost: Float, row: int, column: int, lead: float) -> bool:
    """Whether no other pair with this row or column comes near."""
    rivals = np.concatenate([np.delete(cost[row], column), np.delete(cost[:, column], row)])
    return bool(rivals.min(initial=IMPOSSIBLE) >= cost[row, column] + lead)


def moving_share(boxes: Float, motion: npt.NDArray[np.bool_]) -> Float:
    """Return which share of each box is in motion, shape (N,), 0..1.

    Args:
        boxes: (N, 4), left, top, right, bottom in 0..1; parts outside are left out.
        motion: (H, W), which pixels of a small plane of the picture are moving.
    """
    height, width = motion.shape
    shares = np.empty(len(boxes))
    # Few objects stand unseen at a time, and counting a few pixels is quicker than summing up a whole plane.
    for row, (left, top, right, bottom) in enumerate(boxes.tolist()):
        x, y = (min(max(floor(near * size), 0), size - 1) for near, size in ((left, width), (top, height)))
        end_x, end_y = (
            min(max(ceil(right * width), x + 1), width),
            min(max(ceil(bottom * height), y + 1), height),
        )
        box = motion[y:end_y, x:end_x]
        shares[row] = np.count_nonzero(box) / box.size
    return shares
