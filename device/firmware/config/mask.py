"""Section about what of the picture is never looked at."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from device.firmware.config.section import Section
from device.firmware.masks import masks_fault
from ota.messages.fields import Name, Point


class MaskSection(Section, frozen=True, kw_only=True):
    """A privacy mask (see `Masks`).

    Attributes:
        name: for people.
        points: polygon, x, y in 0..1 from the top left.
    """

    name: Name
    points: Annotated[list[Point], Meta(min_length=3, max_length=64)]


def mask_faults(masks: list[MaskSection]) -> list[tuple[str, str]]:
    """Say what is wrong with a camera's masks, as (key below `mask`, reason)."""
    fault = masks_fault([mask.points for mask in masks])
    return [(f"[{fault[0]}].points", fault[1])] if fault else []
