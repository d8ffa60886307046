"""Section about the health of a camera's view."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from device.firmware.config.section import Section

Seconds = Annotated[float, Meta(ge=1, le=3600)]
Share = Annotated[float, Meta(gt=0, lt=100)]


class ViewSection(Section, frozen=True, kw_only=True):
    """When the view of a camera is bad (see `ViewSettings`).

    Attributes:
        enabled: false raises no alarm but `lost`.
        hold_s: a condition must last this long before its alarm is raised.
        clear_s: it must be gone this long before the alarm is cleared.
        dark_pct: dark when 19 of 20 pixels are below this share of white.
        bright_pct: too bright when this share of the picture is white.
        sharp_pct: blurred when lasting edges have less than this share of their usual sharpness.
        moved_pct: moved when the view lies this share of its width from where it was learnt.
        frozen_s: frozen when the very same frame comes for so long, 0 never; where absent a minute for real
            cameras and never for files and the street, which may rightly repeat themselves.
    """

    enabled: bool = True
    hold_s: Seconds = 15.0
    clear_s: Seconds = 10.0
    dark_pct: Share = 8.0
    bright_pct: Share = 60.0
    sharp_pct: Share = 65.0
    moved_pct: Annotated[float, Meta(ge=1, le=30)] = 2.0
    frozen_s: Annotated[float, Meta(ge=0, le=86_400)] | None = None
