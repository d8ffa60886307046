"""What counts as a bad view, in units a technician can picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SENSOR_FROZEN_S: Final = 60.0
"""A sensor's noise never repeats; an encoder may send a still night again, but seldom for a minute."""


@dataclass(frozen=True, slots=True)
class ViewSettings:
    """When the view of a camera is bad.

    Attributes:
        hold_s: a condition must last this long before its alarm is raised.
        clear_s: it must be gone this long before the alarm is cleared.
        dark_pct: dark when 19 of 20 pixels are below this share of white.
        bright_pct: too bright when this share of the picture is white.
        sharp_pct: blurred when lasting edges have less than this share of their usual sharpness.
        moved_pct: moved when the picture lies this share of its width or more from where it was learnt.
        frozen_s: frozen when the very same frame comes for so long; 0 never, for sources without noise.
        look_s: time between two looks.
        learn_s: how long a new reference is learnt before it is believed.
        adapt_s: time constant with which a believed reference follows the season and the sun.
    """

    hold_s: float = 15.0
    clear_s: float = 10.0
    dark_pct: float = 8.0
    bright_pct: float = 60.0
    sharp_pct: float = 65.0
    moved_pct: float = 2.0
    frozen_s: float = 0.0
    look_s: float = 0.5
    learn_s: float = 10.0
    adapt_s: float = 300.0
