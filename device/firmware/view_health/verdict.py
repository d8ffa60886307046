"""Names the one cause of a bad view, of numbers alone.

One cause, one alarm: the first of this order that holds is the verdict, and what it hides is left undecided.

1. bright: most of the picture is white.
2. covered or dark: the picture is black. Black within seconds is a cover, black by and by is the night; from
   inside they look the same.
3. frozen: the very same frame again and again.
4. moved: the lasting edges are all elsewhere.
   covered: they are in place, but only shine through.
5. blurred: the coarse view is in place, and its edges are soft.
6. moved: there are as many edges as ever, and hardly any of ours in place.
7. covered: our edges are gone, and there are hardly any others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from device.firmware.view_health.reference import Likeness
from device.firmware.view_health.settings import ViewSettings
from device.firmware.view_health.shift import Shift

Kind = Literal["covered", "dark", "bright", "frozen", "blurred", "moved"]
KINDS: Final[tuple[Kind, ...]] = ("covered", "dark", "bright", "frozen", "blurred", "moved")

IN_PLACE: Final = 0.6
"""Agreement of fine edges from which the view is surely where it was; a bus over 70 % of it leaves 0.7."""
GONE: Final = 0.3
"""Agreement below which a coarse view is not ours: a hand leaves 0.2, a lamp that dazzles 0.4."""
HALF_IN_PLACE: Final = 0.5
ELSEWHERE: Final = 0.45
"""Agreement of fine edges below which a view that is sharp and full of edges is another; turned by 3 degrees
the camera sees 0.3 to 0.5 of its edges in place, by 5 degrees 0.1 to 0.3."""
FEW_EDGES: Final = 0.5
"""Less than this share of the usual edges is a cover; another street has about as many as ours."""
SHINES_THROUGH: Final = 0.15
"""Contrast of our edges below which the lens is covered though they are in place: skin lets light through."""
NO_EDGES: Final = 0.02
"""Mean edge length of a picture in which nothing is, for a camera that has learnt nothing yet."""
FOUND_GAIN: Final = 1.3
PUSHED: Final = (0.6, 5.0)
TURNED: Final = (0.25, 9.0)
"""Least agreement and clarity of a shift that is believed, with the least gain. Pushed by 3 to 30 %, streets
and rooms gave at least 0.70 and 10, with a gain of 2.0; a camera that is turned sees other lines of sight as
well, and by 3 to 15 % the simulated streets gave at least 0.29 and 11.9, with 1.39; a street by infrared
gives 0.6 and less than 9. A covered lens gave at most 0.15 and 4, with 1.4, a blurred one 0.5 and 8, with
1.0."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one look says.

    Attributes:
        kind: the cause; None when there is none or it cannot be told.
        detail: in words, for people.
        is_sure: false when the look decides nothing: neither the cause nor that all is well.
        is_slow: the cause needs more patience than others before it is believed.
        may_be_light: a light that is not learnt yet can look like this: a first night, lamps, infrared.
    """

    kind: Kind | None = None
    detail: str = ""
    is_sure: bool = True
    is_slow: bool = False
    may_be_light: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a verdict is made of.

    Attributes:
        top_pct: brightness that 19 of 20 pixels do not reach, percent of white.
        white_pct: share of white pixels, percent.
        edges: mean edge length, 0..1.
        left: how much of the coarse view this very look shows, 0..1; asked when it is dark.
        is_sudden: whether the picture was bright a few seconds ago, or is known to be covered.
        same_s: how long the very same frame has been coming.
        likeness: to the reference that fits best; None before one is learnt.
        shift: looked for when the view is not in place; None otherwise.
    """

    top_pct: float
    white_pct: float
    edges: float
    left: float
    is_sudden: bool
    same_s: float
    likeness: Likeness | None
    shift: Shift | None


def judge(facts: Facts, settings: ViewSettings) -> Verdict:
    """Return the one cause, in the order of this module's first paragraphs."""
    if facts.white_pct >= settings.bright_pct:
        return Verdict("bright", f"{facts.white_pct:.0f} % of the picture is white")
    if facts.top_pct < settings.dark_pct:
        return _black(facts)
    if facts.same_s > 0 and 0 < settings.frozen_s <= facts.same_s + settings.hold_s:
        return Verdict("frozen", "the very same frame comes again and again")
    if facts.likeness is None:
        is_blank = facts.edges < NO_EDGES
        return Verdict("covered", "there is nothing in the picture") if is_blank else Verdict()
    return _compared(facts.likeness, facts.shift, settings)


def is_found(shift: Shift) -> bool:
    """Tell whether the lasting edges were found again, elsewhere."""
    likely = (shift.agreement, shift.clarity)
    is_clear = any(likely[0] >= least[0] and likely[1] >= least[1] for least in (PUSHED, TURNED))
    return is_clear and shift.gain >= FOUND_GAIN


def _black(facts: Facts) -> Verdict:
    if facts.is_sudden and facts.left < GONE:
        return Verdict("covered", "the picture went black at once")
    return Verdict("dark", f"19 of 20 pixels are below {max(1.0, facts.top_pct):.0f} % of white")


def _compared(likeness: Likeness, shift: Shift | None, settings: ViewSettings) -> Verdict:
    if shift is not None and is_found(shift):
        return Verdict("moved", _moved_detail(shift), may_be_light=shift.agreement < PUSHED[0])
    if likeness.contrast < SHINES_THROUGH:
        return Verdict("covered", "only a glimmer of the usual view shines through")
    is_coarse_in_place = likeness.coarse >= HALF_IN_PLACE
    sharp_pct = 100.0 if likeness.sharp is None else 100 * likeness.sharp
    if is_coarse_in_place and sharp_pct < settings.sharp_pct:
        detail = f"its edges have {sharp_pct:.0f} % of their usual sharpness"
        return Verdict("blurred", detail, may_be_light=True)
    if likeness.fine < ELSEWHERE and likeness.edges >= FEW_EDGES:
        is_ours = likeness.coarse >= GONE
        what = "is turned or tilted" if is_ours else "shows something else than it used to"
        return Verdict("moved", f"the view {what}", is_slow=True, may_be_light=True)
    if likeness.fine < IN_PLACE and not is_coarse_in_place and likeness.edges < FEW_EDGES:
        return Verdict("covered", "hardly anything of the usual view is to be seen")
    return Verdict(is_sure=is_coarse_in_place and likeness.fine >= IN_PLACE)


def _moved_detail(shift: Shift) -> str:
    parts = []
    if abs(shift.across_pct) >= 1:
        parts.append(f"{abs(shift.across_pct):.0f} % to the {'right' if shift.across_pct > 0 else 'left'}")
    if abs(shift.down_pct) >= 1:
        parts.append(f"{abs(shift.down_pct):.0f} % {'down' if shift.down_pct > 0 else 'up'}")
    return f"the view has gone {' and '.join(parts)} in the picture"
