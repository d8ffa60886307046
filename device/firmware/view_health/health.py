"""The road of a look: measure, compare with how the view usually is, name the cause, raise or clear.

Belongs to one camera and to the thread that looks; only `relearn` and `standing` are for others. Time comes
in with the frame.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import exp
from typing import Final, Literal, get_args

import msgspec
import numpy as np

from device.firmware.masks import Polygon
from device.firmware.view_health.reference import Kept, Likeness, Reference
from device.firmware.view_health.settings import ViewSettings
from device.firmware.view_health.shift import Shift, find_shift
from device.firmware.view_health.sight import Sight, Window, follow, make_window, plane_size, see
from device.firmware.view_health.standing import Change, Standing
from device.firmware.view_health.verdict import (
    FEW_EDGES,
    IN_PLACE,
    KINDS,
    SHINES_THROUGH,
    Facts,
    Kind,
    Verdict,
    judge,
)
from hardware.camera.frame import Frame

_log = logging.getLogger(__name__)

Light = Literal["day", "night", "day-grey", "night-grey"]
LIGHTS: Final[tuple[Light, ...]] = get_args(Light)

NIGHT_PCT: Final = 25.0
DAY_PCT: Final = 32.0
"""Below, above this mean brightness (percent of white) it is night, day; between it stays what it was."""
GREY: Final = 1.0
COLOURED: Final = 2.0
"""The same for the mean distance from grey: infrared has no colour, and lights the street quite otherwise."""
PRESENT_S: Final = 2.5
"""Time constant of the mean of the last looks, in which noise and passers-by fade."""
SUDDEN_S: Final = 8.0
SUDDEN_FACTOR: Final = 2.0
"""Black at once: twice the limit of dark was reached this short a time ago."""
GAP_S: Final = 5.0
"""After a longer time without a look the past says nothing of the present."""
WEAK_EDGES: Final = 0.01
"""A reference with fewer lasting edges (an empty sky) cannot tell whether anything is in place."""
KEEP_S: Final = 3600.0
FIRST_KEEP_S: Final = 300.0
"""Time between two writings of the references, and from the start to the first: SD cards wear out."""


class _State(msgspec.Struct, frozen=True):
    """What outlasts a restart; `v` is its layout."""

    v: int
    references: dict[str, Kept]


class ViewHealth:
    """Watches over the view of one camera.

    Args:
        settings: what counts as bad.
        masks: the camera's privacy masks: nothing is concluded from what they hide.
        kept: what `state` returned before a restart; damaged or of another size it is forgotten.
        raised: which alarms stood then; others than `KINDS` are not this view's.
    """

    def __init__(
        self,
        settings: ViewSettings,
        masks: Sequence[Polygon] = (),
        kept: bytes = b"",
        raised: Iterable[str] = (),
    ) -> None:
        self._settings = settings
        self._masks = tuple(masks)
        self._references = _restored(kept)
        self._standing = Standing(settings, [kind for kind in KINDS if kind in set(raised)])
        self._window: Window | None = None
        self._light: Light = "day"
        self._is_night = self._is_grey = False
        self._present: Sight | None = None
        self._last_s = -np.inf
        self._digest: tuple[int, float] = (0, np.inf)
        self._tops: deque[tuple[float, float]] = deque()
        self._keep_due_s = np.inf
        self._is_to_relearn = False
        self._raised: dict[Kind, str] = self._standing.raised

    @property
    def standing(self) -> dict[Kind, str]:
        """The alarms that stand now, with their details; safe to read from any thread."""
        return self._raised

    def relearn(self) -> None:
        """Take the view as it is now for the usual one, from the next look on; callable from any thread."""
        self._is_to_relearn = True

    def watch(self, frame: Frame) -> list[Change]:
        """Look at a frame if a look is due; masks are painted on it already.

        Returns:
            The alarms that were raised or cleared by this look, usually none.
        """
        elapsed_s = frame.mono_s - self._last_s
        if 0 <= elapsed_s < self._settings.look_s and not self._is_to_relearn:
            return []
        changes = self._begin_anew() if self._is_to_relearn else []
        self._last_s = frame.mono_s
        self._keep_due_s = min(self._keep_due_s, frame.mono_s + FIRST_KEEP_S)
        if not 0 <= elapsed_s <= GAP_S:
            self._forget_the_present()
            elapsed_s = self._settings.look_s
        sight = self._see(frame, elapsed_s)
        verdict = self._judge(sight, frame.mono_s, elapsed_s)
        changes += self._standing.note(verdict, elapsed_s)
        self._raised = self._standing.raised
        return changes

    def state(self, mono_s: float) -> bytes | None:
        """Return the references to be kept over a restart, when it is time to; None otherwise."""
        if mono_s < self._keep_due_s:
            return None
        self._keep_due_s = mono_s + KEEP_S
        references: dict[str, Kept] = {
            light: one.kept() for light, one in self._references.items() if self._is_believed(one)
        }
        return msgspec.msgpack.encode(_State(1, references))

    def _begin_anew(self) -> list[Change]:
        self._is_to_relearn = False
        self._references.clear()
        self._keep_due_s = -np.inf
        changes = [Change(kind, is_raised=False) for kind in self._standing.raised]
        self._standing = Standing(self._settings)
        self._forget_the_present()
        return changes

    def _forget_the_present(self) -> None:
        self._present = None
        self._digest = (0, np.inf)
        self._tops.clear()
        self._standing.forget_patience()

    def _see(self, frame: Frame, elapsed_s: float) -> Sight:
        size = plane_size(frame.width, frame.height)
        if self._window is None or self._window.whole.shape != size[::-1]:
            self._window = make_window(self._masks, size)
            self._forget_the_present()
            self._references = {
                light: one for light, one in self._references.items() if one.fine.shape[1::-1] == size
            }
        sight = see(frame, self._window)
        if self._present is None:
            self._present = sight
        rate = 1.0 - exp(-elapsed_s / PRESENT_S)
        present = self._present
        self._present = replace(
            sight,
            fine=follow(present.fine, sight.fine, rate),
            coarse=follow(present.coarse, sight.coarse, rate),
            contrast=follow(present.contrast, sight.contrast, rate),
            soft_contrast=follow(present.soft_contrast, sight.soft_contrast, rate),
        )
        return sight

    def _judge(self, sight: Sight, mono_s: float, elapsed_s: float) -> Verdict:
        assert self._present is not None
        self._note_light(sight)
        best, likeness = self._most_like(self._present)
        shift: Shift | None = None
        if best is not None and likeness is not None and likeness.fine < IN_PLACE:
            least_px = max(2.0, sight.fine.shape[1] * self._settings.moved_pct / 100)
            shift = find_shift(best.fine, self._present.fine, least_px)
        is_dark = sight.top_pct < self._settings.dark_pct
        facts = Facts(
            sight.top_pct,
            sight.white_pct,
            sight.edges,
            left=best.like(sight).coarse if best is not None and is_dark else 0.0,
            is_sudden=self._is_sudden(sight, mono_s),
            same_s=self._same_s(sight, mono_s),
            likeness=likeness,
            shift=shift,
        )
        verdict = judge(facts, self._settings)
        if best is not None and self._is_new_light and verdict.may_be_light:
            verdict = Verdict()
        if verdict.kind is None and verdict.is_sure and not self._raised:
            self._learn(sight, best, elapsed_s)
        return verdict

    @property
    def _is_new_light(self) -> bool:
        own = self._references.get(self._light)
        return own is None or not self._is_believed(own)

    def _note_light(self, sight: Sight) -> None:
        """Which of the references is the one of this light."""
        if not DAY_PCT >= sight.mean_pct >= NIGHT_PCT:
            self._is_night = sight.mean_pct < NIGHT_PCT
        if not COLOURED >= sight.colour >= GREY:
            self._is_grey = sight.colour < GREY
        self._light = LIGHTS[2 * self._is_grey + self._is_night]

    def _most_like(self, present: Sight) -> tuple[Reference | None, Likeness | None]:
        """The believed reference that fits best: at dusk it may still be the day's."""
        found = [
            (one, one.like(present))
            for one in self._references.values()
            if self._is_believed(one) and one.edges >= WEAK_EDGES
        ]
        return max(found, key=lambda pair: pair[1].fine) if found else (None, None)

    def _is_believed(self, reference: Reference) -> bool:
        return reference.learnt_s >= self._settings.learn_s

    def _learn(self, sight: Sight, best: Reference | None, elapsed_s: float) -> None:
        """Let the reference of this light follow; the first of a light begins as a copy of one alike."""
        reference = self._references.get(self._light)
        if reference is None:
            now = None if best is None else best.like(sight)
            if now is not None and (now.edges < FEW_EDGES or now.contrast < SHINES_THROUGH):
                return  # a hand makes it dark as well: that is no night to be learnt
            is_alike = now is not None and now.fine >= IN_PLACE
            reference = best.copy() if best and is_alike else Reference(sight.fine, sight.coarse)
            self._references[self._light] = reference
        reference.learn(sight, elapsed_s, self._settings.adapt_s)

    def _is_sudden(self, sight: Sight, mono_s: float) -> bool:
        """Whether it was bright a moment ago, or the lens is known to be covered."""
        limit = self._settings.dark_pct
        if sight.top_pct < limit:
            return "covered" in self._raised or any(top > SUDDEN_FACTOR * limit for _, top in self._tops)
        self._tops.append((mono_s, sight.top_pct))
        while self._tops[0][0] < mono_s - SUDDEN_S:
            self._tops.popleft()
        return False

    def _same_s(self, sight: Sight, mono_s: float) -> float:
        digest, since_s = self._digest
        if digest != sight.digest or mono_s < since_s:
            self._digest = (sight.digest, mono_s)
        return mono_s - self._digest[1]


def _restored(kept: bytes) -> dict[Light, Reference]:
    """Read what was kept; nothing of it is worth a failed start."""
    if not kept:
        return {}
    try:
        known = msgspec.msgpack.decode(kept, type=_State).references
        return {light: Reference.restored(known[light]) for light in LIGHTS if light in known}
    except (msgspec.DecodeError, ValueError) as error:
        _log.warning("view references forgotten reason=%r they are learnt anew", str(error))
        return {}
