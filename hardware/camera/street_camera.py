"""The simulated street as a camera: draws in real time, or as fast as asked, with the truth at hand.

A frame's moment in the street is `time_of(frame)`; ask `scene.truth` of it. It opens no device.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from hardware.camera.frame import Frame, Layout, rgb_to_i420
from hardware.camera.street import Street
from hardware.errors import CameraUnavailable

_WHAT_TO_DO = "write it like street:seed=7,night=1,size=640x480"


@dataclass(frozen=True, slots=True)
class StreetOptions:
    """What `street:...` may say.

    Attributes:
        seed: Which street, from 0.
        night: 1 for night.
        size: WIDTHxHEIGHT in pixels, even; the caller's size if not given.
        start: Moment of the street at which the camera opens, in seconds, at least 0.
        seconds: The source ends after so much of the street's time; 0 means never.
        layout: `i420`, as a Pi's camera gives, or `rgb`.
    """

    seed: int = 0
    night: bool = False
    size: tuple[int, int] | None = None
    start: float = 0.0
    seconds: float = 0.0
    layout: Layout = "i420"


def parse_street(source: str) -> StreetOptions:
    """Read `street` or `street:key=value,...`.

    Raises:
        CameraUnavailable: Naming the valid options, if one is unknown or its value makes no sense.
    """
    values: dict[str, str] = {}
    for item in source.partition(":")[2].split(","):
        if item.strip():
            key, _, value = item.partition("=")
            values[key.strip()] = value.strip()
    valid = tuple(StreetOptions.__dataclass_fields__)
    unknown = [key for key in values if key not in valid]
    if unknown:
        raise CameraUnavailable(
            source, f"unknown option {unknown[0]!r}", f"valid are {', '.join(valid)}: {_WHAT_TO_DO}"
        )
    try:
        return _options(values)
    except ValueError as error:
        raise CameraUnavailable(source, str(error), _WHAT_TO_DO) from error


def _options(values: dict[str, str]) -> StreetOptions:
    seed, night = int(values.get("seed", "0")), values.get("night", "0")
    if seed < 0:
        raise ValueError("seed must be 0 or more")
    if night not in {"0", "1"}:
        raise ValueError(f"night must be 0 or 1, not {night!r}")
    size = None
    if "size" in values:
        width, _, height = values["size"].partition("x")
        size = int(width), int(height)
    start, seconds = float(values.get("start", "0")), float(values.get("seconds", "0"))
    if not (0 <= start < 1e9 and 0 <= seconds < 1e9):
        raise ValueError("start and seconds must be 0 or more")
    layouts: dict[str, Layout] = {"i420": "i420", "rgb": "rgb"}
    layout = values.get("layout", "i420")
    if layout not in layouts:
        raise ValueError(f"layout must be i420 or rgb, not {layout!r}")
    return StreetOptions(seed, night == "1", size, start, seconds, layouts[layout])


class StreetCamera:
    """A camera over a simulated street.

    Live: frames come at `fps` in real time; late ones are skipped, which leaves a gap in `seq`. With
    `every_frame` none is skipped and none is waited for; the stamps then run at the street's pace.

    Args:
        source: `street` or `street:key=value,...`.
        width: Pixels across unless the source gives a size.
        height: Pixels down unless the source gives a size.
        fps: Frames per second of the street's time, above 0.
        every_frame: Draw as fast as frames are taken.

    Raises:
        CameraUnavailable: If an option is unknown or impossible.
    """

    def __init__(
        self,
        source: str,
        *,
        width: int = 640,
        height: int = 480,
        fps: float = 10.0,
        every_frame: bool = False,
    ) -> None:
        self.options = parse_street(source)
        self.name = source
        self.is_live = not every_frame
        self.fps = fps
        width, height = self.options.size or (width, height)
        if self.options.layout == "i420" and (width % 2 or height % 2):
            raise CameraUnavailable(source, f"i420 needs an even size, not {width}x{height}", _WHAT_TO_DO)
        if not fps > 0:
            raise CameraUnavailable(source, f"fps must be above 0, not {fps}", "set the camera's fps")
        try:
            self.scene = Street(self.options.seed, width, height, night=self.options.night)
        except ValueError as error:
            raise CameraUnavailable(source, str(error), _WHAT_TO_DO) from error

    def time_of(self, frame: Frame) -> float:
        """The moment of the street, in seconds, that a frame of this camera shows."""
        return self.options.start + frame.seq / self.fps

    def frames(self, stop: threading.Event) -> Iterator[Frame]:
        """Yield frames until `stop` is set or `seconds` of the street's time are over."""
        opened_s, opened_utc_s = time.monotonic(), time.time()
        seq = 0
        while not stop.is_set() and not 0 < self.options.seconds <= seq / self.fps:
            due_s = seq / self.fps
            if not self.is_live:
                yield self._draw(seq, opened_s + due_s, opened_utc_s + due_s)
                seq += 1
                continue
            if stop.wait(max(0.0, opened_s + due_s - time.monotonic())):
                return
            yield self._draw(seq, time.monotonic(), time.time())
            seq = max(seq + 1, int((time.monotonic() - opened_s) * self.fps))

    def close(self) -> None:
        """Nothing is held."""

    def _draw(self, seq: int, mono_s: float, utc_s: float) -> Frame:
        pixels = self.scene.render(self.options.start + seq / self.fps)
        if self.options.layout == "i420":
            pixels = rgb_to_i420(pixels)
        return Frame(
            pixels,
            self.options.layout,
            self.scene.width,
            self.scene.height,
            mono_s=mono_s,
            utc_s=utc_s,
            seq=seq,
        )
