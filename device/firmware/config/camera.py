"""Sections about one image source: what is looked at, and when it is skipped."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from device.firmware.config.mask import MaskSection
from device.firmware.config.rule import RuleSection
from device.firmware.config.section import Positive, Section
from device.firmware.config.view import ViewSection
from ota.messages.fields import Name


class MotionSection(Section, frozen=True, kw_only=True):
    """The motion gate (see `MotionSettings`)."""

    enabled: bool = True
    hold_s: Positive = 1.0
    max_skip_s: Positive = 5.0


class CameraSection(Section, frozen=True, kw_only=True):
    """One image source.

    Attributes:
        id: `cam0`, `cam1`, ...
        source: `street`, `webcam`, `picamera2`, a file, an `rtsp://` address (docs/cameras.md).
        width: pixels to ask of the driver; even.
        height: pixels to ask of the driver; even.
        fps: frames a second to look at.
        loop: play a file again and again.
        every_frame: look at every frame of a file, however slow.
        process: whether the driver runs in a process of its own; where absent, those of real cameras do.
    """

    id: Name = "cam0"
    source: Annotated[str, Meta(min_length=1)]
    width: Annotated[int, Meta(ge=32, le=4096, multiple_of=2)] = 640
    height: Annotated[int, Meta(ge=32, le=4096, multiple_of=2)] = 480
    fps: Annotated[float, Meta(gt=0, le=120)] = 10.0
    loop: bool = False
    every_frame: bool = False
    process: bool | None = None
    motion: MotionSection = MotionSection()
    view: ViewSection = ViewSection()
    mask: Annotated[list[MaskSection], Meta(max_length=16)] = []
    rule: Annotated[list[RuleSection], Meta(max_length=64)] = []
