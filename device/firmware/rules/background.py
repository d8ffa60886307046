"""A learnt background of small pictures: finds what has been put down in a view or taken out of it.

A pixel that differs from the background, holds still and is hidden by nobody grows old; a region of old
pixels is a change of the scene itself (the idea of two memories, one slow and one quick: F. Porikli,
Y. Ivanov, T. Haga, "Robust abandoned object detection using dual foregrounds", EURASIP Journal on Advances in
Signal Processing, 2008). Whether something came or went is read off the region's border: a thing that stands
there now has an edge there now, a thing that was taken had one in the background (P. Spagnolo and others, "An
abandoned/removed objects detection algorithm and its evaluation on PETS datasets", AVSS 2006). A change that
nobody was near to is light or shadow: it is learnt and not told, and when it goes, that is not told either.

What is kept is a mean, 160 pixels wide, and it goes no further than this object.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from device.firmware.geometry import Box, Boxes
from device.firmware.rules.happening import Small

LONGEST_STEP_S: Final = 5.0
KNOWN_S: Final = 8.0
"""A pixel must hold still uncovered so long, all in all, before it is believed to show the background."""
LEARN_S: Final = 30.0
NOISE_S: Final = 20.0
LEAST_CHANGE: Final = 14.0
"""Luma levels (0..255) by which a changed pixel differs at least."""
NOISE_FACTOR: Final = 4.0
MOST_NOISE: Final = 40.0
STILL: Final = 10.0
"""A pixel that changes less than this (and its own noise) from look to look holds still, luma levels."""
BEFORE_S: Final = 15.0
"""Somebody must have been near at most so long before a change began."""
MARGIN: Final = (0.15, 0.05)
"""What a box hides does not end at its edge: it is wider on each side by so much of its width and height."""
NEARNESS: Final = (0.6, 0.1)
"""The same for what somebody was near to."""
SHADOW: Final = (2.5, 0.1)
"""So near to anybody nothing is learnt that is not known: shadows and headlights go with their owners."""
LEAST_PIXELS: Final = 12
LARGEST: Final = 0.2
"""A change of more than this share of the view is the light or the camera; all is learnt anew."""
SAME_PATTERN: Final = 0.8
"""A region whose pattern correlates more than this with the background's is the same in another light."""
RETURNED: Final = 0.4
"""Share of a region that must look as before a change that was not told, to be the end of that change."""
RIPE: Final = 0.6
"""Share of a region that must be old enough."""
DARKEST: Final = 0.35
"""A shadow leaves so much of the light, or more."""
LEAST_THING: Final = 0.25
"""Less than this share of what was left that is no shadow is no thing by itself."""
Mask = npt.NDArray[np.bool_]
Plane = npt.NDArray[np.float32]
Planes = npt.NDArray[np.float32]
"""Shape (C, H, W): luma, and two planes of colour where there are any."""
Seconds = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the scene that stays.

    Attributes:
        is_left: true if a thing was put there, false if one was taken.
        box: left, top, right, bottom in 0..1.
        age_s: for how long it has been so.
    """

    is_left: bool
    box: Box
    age_s: float


class Background:
    """One view's background; a plane of another size begins anew."""

    def __init__(self, dwell_s: float, is_news: Callable[[Box], bool]) -> None:
        """Start knowing nothing.

        Args:
            dwell_s: a change is returned when it has stayed for so long.
            is_news: asked whether a change with this box is to be told.
        """
        self._dwell_s = dwell_s
        self._is_news = is_news
        self._planes: Planes = np.empty((0, 0, 0), np.float32)
        self._shape: tuple[int, int] = (0, 0)
        self._last_s = 0.0

    def forget(self) -> None:
        """Know nothing."""
        self._planes = np.empty((0, 0, 0), np.float32)

    def watch(self, small: Small, everyone: Boxes, near: Boxes, mono_s: float) -> list[Change]:
        """Take in one picture; return the changes that have just become old enough.

        Args:
            small: shape (H, W, C), luma and perhaps colour; (H, W) for luma alone.
            everyone: boxes of all tracked objects, 0..1: what they cover cannot be judged.
            near: boxes of what is near to somebody who may have put something down: there nothing grows old.
            mono_s: monotonic stamp of the frame.
        """
        planes = np.array(cv2.split(cv2.GaussianBlur(small, (3, 3), 0)), np.float32)
        if planes.shape != self._planes.shape:
            self._begin(planes, mono_s)
        step_s = min(max(0.0, mono_s - self._last_s), LONGEST_STEP_S)
        self._last_s = mono_s
        covered = _under(everyone, self._shape, MARGIN)
        held = covered | _under(near, self._shape, (0.0, 0.0))
        np.copyto(self._visited_s, mono_s, where=_under(everyone, self._shape, NEARNESS))
        off = planes - self._planes
        is_new = self._known_s < KNOWN_S
        still = self._note_stir(planes, covered, step_s)
        changed = self._differs(off, covered)
        changed &= ~is_new
        self._grow(changed, still, held, mono_s, step_s)
        hidden = _under(everyone, self._shape, SHADOW)
        hidden &= is_new
        hidden |= covered
        hidden |= changed
        self._learn(off, is_new, ~hidden, still, step_s)
        self._before = planes
        return self._ripe(planes, held)

    def _begin(self, planes: Planes, mono_s: float) -> None:
        self._shape, self._last_s = (planes.shape[1], planes.shape[2]), mono_s
        self._planes, self._before = planes.copy(), planes
        self._noise: Plane = np.full(self._shape, 2.0, np.float32)
        self._known_s: Plane = np.zeros(self._shape, np.float32)
        self._age_s: Plane = np.zeros(self._shape, np.float32)
        self._visited_s: Seconds = np.full(self._shape, -np.inf)
        self._came_s: Seconds = np.full(self._shape, np.inf)
        self._former = np.full_like(planes, np.nan)  # what was there before a change that was not told

    def _note_stir(self, planes: Planes, covered: Mask, step_s: float) -> Mask:
        """Tell what holds still, and learn how much each pixel stirs that does."""
        stir = _largest(planes - self._before)
        still: Mask = stir < self._noise + np.float32(STILL)
        step = np.minimum(stir, np.float32(MOST_NOISE))
        step -= self._noise
        step *= np.float32(min(1.0, step_s / NOISE_S))
        np.add(self._noise, step, out=self._noise, where=~covered)
        return still

    def _differs(self, off: Planes, covered: Mask) -> Mask:
        """Tell what differs from the background, by how far its planes are off."""
        # A cloud before the sun changes all of it; every 16th pixel tells that as well as all of them.
        seen = off[:, ::4, ::4].reshape(len(off), -1)[:, ~covered[::4, ::4].reshape(-1)]
        if seen.size:
            middle = seen.shape[1] // 2
            off = off - np.partition(seen, middle, axis=1)[:, middle, None, None]
        least = self._noise * np.float32(NOISE_FACTOR)
        least += np.float32(LEAST_CHANGE / 2)
        differs: Mask = _largest(off) > np.maximum(least, np.float32(LEAST_CHANGE), out=least)
        return differs

    def _grow(self, changed: Mask, still: Mask, held: Mask, mono_s: float, step_s: float) -> None:
        """Let changed pixels that hold still grow older, the others younger; what is hidden waits."""
        grows = changed & still
        grows &= ~held
        begins = grows & (self._age_s <= 0.0)
        if begins.any():
            self._came_s[begins] = mono_s - self._visited_s[begins]
        step = np.where(grows, np.float32(step_s), np.float32(-step_s))
        np.add(self._age_s, step, out=self._age_s, where=~held)
        np.maximum(self._age_s, np.float32(0.0), out=self._age_s)

    def _learn(self, off: Planes, is_new: Mask, shown: Mask, still: Mask, step_s: float) -> None:
        """Follow slow changes of what shows the background; learn quickly what is not known yet.

        Args:
            off: how far each plane is off the background.
            is_new: what is not known yet.
            shown: what shows the background, as far as can be told.
            still: what holds still.
            step_s: since the picture before.
        """
        step = np.where(still, np.float32(step_s), np.float32(-step_s))
        np.add(self._known_s, step, out=self._known_s, where=shown & (still | is_new))
        np.maximum(self._known_s, np.float32(0.0), out=self._known_s)
        rate = np.where(is_new, np.float32(0.5), np.float32(min(1.0, step_s / LEARN_S)))
        rate *= shown
        self._planes += rate * off

    def _ripe(self, planes: Planes, held: Mask) -> list[Change]:
        if not (self._age_s >= self._dwell_s).any():
            return []
        aged = (self._age_s > self._dwell_s / 2).astype(np.uint8)
        if np.count_nonzero(aged) > LARGEST * aged.size:
            self.forget()
            return []
        aged = cv2.morphologyEx(aged, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
        count, labels = cv2.connectedComponents(aged)
        found = (self._judged(labels == label, planes, held) for label in range(1, count))
        return [change for change in found if change is not None]

    def _judged(self, region: Mask, planes: Planes, held: Mask) -> Change | None:
        """Say what a region is if it is old enough and nobody is near a part of it; then it is background."""
        ages = self._age_s[region]
        if np.count_nonzero(ages >= self._dwell_s) < RIPE * ages.size:
            return None
        grown = _grown(region)
        if (grown & held).any():
            return None
        is_left = _border_edge(planes, region) >= _border_edge(self._planes, region)
        box, thing = _around(region), self._without_shadow(region, planes) if is_left else region
        came_s, age_s = float(self._came_s[region].min()), float(ages.max())
        is_light = _likeness(planes[:, grown], self._planes[:, grown]) > SAME_PATTERN
        is_back = self._is_as_before(region, planes)
        is_cut_off = box[0] <= 0.0 or box[2] >= 1.0  # a vehicle that waits half out of sight
        is_none = ages.size < LEAST_PIXELS or came_s > BEFORE_S or is_light or is_cut_off or is_back
        is_told = not is_none and self._is_news(box)
        self._former[:, grown] = np.nan if is_told or is_back else self._planes[:, grown]
        self._planes[:, grown], self._age_s[grown], self._came_s[grown] = planes[:, grown], 0.0, np.inf
        return Change(is_left, _around(thing), age_s) if is_told else None

    def _without_shadow(self, region: Mask, planes: Planes) -> Mask:
        """Return the part of what was left that is no shadow: that darkens, and leaves the colour as it is.

        All of it where too little would be left: a grey thing is much like a shadow.
        """
        before = self._planes
        light = planes[0] / np.maximum(before[0], np.float32(1.0))
        is_shadow = (light > DARKEST) & (light < np.float32(1.0))
        if len(planes) > 1:
            is_shadow &= _largest(planes[1:] - before[1:]) < np.float32(LEAST_CHANGE / 2)
        thing = region & ~is_shadow
        enough = max(LEAST_PIXELS, LEAST_THING * np.count_nonzero(region))
        return thing if np.count_nonzero(thing) >= enough else region

    def _is_as_before(self, region: Mask, planes: Planes) -> bool:
        """Whether a region is, for the better part, what it was before a change that was not told."""
        off = np.abs(planes[:, region] - self._former[:, region]).max(
            axis=0
        )  # not a number where there was none
        return bool(np.count_nonzero(off < 2 * LEAST_CHANGE) >= RETURNED * off.size)


def _around(region: Mask) -> Box:
    """Return the box round a region, 0..1."""
    (rows, columns), (height, width) = np.nonzero(region), region.shape
    return (
        float(columns.min() / width),
        float(rows.min() / height),
        float((columns.max() + 1) / width),
        float((rows.max() + 1) / height),
    )


def _likeness(now: Planes, before: Planes) -> float:
    """Return the correlation of two patterns, shape (C, N), -1..1; 0 for a plain one."""
    now, before = now - now.mean(axis=1, keepdims=True), before - before.mean(axis=1, keepdims=True)
    size = float(np.sqrt((now**2).sum() * (before**2).sum()))
    return float((now * before).sum()) / size if size > 0.0 else 0.0


def _border_edge(planes: Planes, region: Mask) -> float:
    """Return the mean steepness along a region's border, of the steepest plane (Sobel operator)."""
    shape = region.astype(np.uint8)
    kernel = np.ones((3, 3), np.uint8)
    border = (cv2.dilate(shape, kernel) > 0) & (cv2.erode(shape, kernel) == 0)
    return max(
        float(np.hypot(cv2.Sobel(plane, cv2.CV_32F, 1, 0), cv2.Sobel(plane, cv2.CV_32F, 0, 1))[border].mean())
        for plane in planes
    )


def _largest(differences: Planes) -> Plane:
    """Return the largest size over the planes, (H, W)."""
    largest: Plane = np.maximum.reduce(np.abs(differences), axis=0)
    return largest


def _grown(region: Mask) -> Mask:
    grown: Mask = cv2.dilate(region.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    return grown


def _under(boxes: Boxes, shape: tuple[int, int], widen: tuple[float, float]) -> Mask:
    """Return the pixels under boxes that are widened on each side by shares of their width and height."""
    mask = np.zeros(shape, np.bool_)
    height, width = shape
    size = boxes[:, 2:] - boxes[:, :2]
    size *= np.array(widen, np.float32)
    scale = np.array([width, height], np.float32)
    first = np.maximum((boxes[:, :2] - size) * scale, np.float32(0.0)).astype(int).tolist()
    ends = ((boxes[:, 2:] + size) * scale + np.float32(1.0)).astype(int).tolist()
    for (x, y), (end_x, end_y) in zip(first, ends, strict=True):
        mask[y : max(end_y, 0), x : max(end_x, 0)] = True
    return mask
