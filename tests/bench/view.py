"""Camera health on streets and videos it was not made on: what is noticed, what is made up, what it costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from device.firmware.masks import Masks
from device.firmware.view_health import KINDS, ViewHealth, ViewSettings
from device.models.bundle import load_bundle
from device.models.detector import Detector
from hardware.camera.frame import Frame, rgb_to_i420
from hardware.camera.street import Street
from tests.bench.table import Row, times_ms
from tests.view_scenes import SCENES, Clip, Scene, dusk, judge, play, street_clip, video_clip

SEEDS: Final = range(101, 109)
VIDEOS: Final = ("otc_cars_cyclist.mp4", "intel_one-by-one-person.mp4")
VIDEO_SEEDS: Final = range(201, 204)
NIGHT_ONLY: Final = "headlights"
SIZE: Final = (640, 480)


def measure(data: Path) -> list[Row]:
    """Play every scene on every clip, then time a look."""
    found, missed, false = Counter[str](), Counter[str](), Counter[str]()
    quiet, loud = Counter[str](), Counter[str]()
    for scene in all_scenes(data):
        outcome = judge(scene, play(scene))
        false.update(outcome.false)
        if scene.kind is None:
            (loud if outcome.false else quiet)[scene.name] += 1
        else:
            (found if outcome.is_found else missed)[scene.kind] += 1
    rows = [_kind_row(kind, found[kind], missed[kind], false[kind]) for kind in KINDS]
    rows += [
        Row(
            f"camera health: {name}",
            f"{loud[name]} of {loud[name] + quiet[name]} raised an alarm",
            "0 wanted",
        )
        for name in SCENES | {"dusk and dawn": None}
        if loud[name] + quiet[name]
    ]
    return rows + _costs()


def all_scenes(data: Path) -> Iterator[Scene]:
    """Every scene on every street by day and by night, dusk and dawn, and every scene on the videos."""
    for seed in SEEDS:
        day, night = street_clip(seed), street_clip(seed, night=True)
        yield from _of(day, seed, is_night=False)
        yield from _of(night, seed, is_night=True)
        yield dusk(day, night)
    for file in (data / "videos" / name for name in VIDEOS):
        if file.is_file():
            for seed in VIDEO_SEEDS:
                yield from _of(video_clip(file), seed, is_night=False)


def _of(clip: Clip, seed: int, *, is_night: bool) -> Iterator[Scene]:
    for name, make in SCENES.items():
        if is_night or name != NIGHT_ONLY:
            yield make(clip, seed)


def _kind_row(kind: str, found: int, missed: int, false: int) -> Row:
    precision = found / (found + false) if found + false else 1.0
    return Row(
        f"camera health: {kind}, {found + missed} scenes, precision / recall",
        f"{precision:.3f} / {found / max(1, found + missed):.3f}",
        "0.95 / 0.95 wanted",
        f"{missed} missed, {false} made up",
    )


def _costs() -> list[Row]:
    street = Street(13, *SIZE)
    frames = [
        Frame(rgb_to_i420(street.render(t / 2)), "i420", *SIZE, mono_s=t / 2, utc_s=t / 2, seq=t)
        for t in range(120)
    ]
    detector = Detector(load_bundle("street-2"), threads=1)
    invoke = float(np.median([(detector.detect(frame), detector.last_invoke_ms)[1] for frame in frames[:50]]))
    health, looks = ViewHealth(ViewSettings()), iter(frames)
    well = times_ms(lambda: health.watch(next(looks)), len(frames))[40:]
    pushed = [
        Frame(np.roll(frame.pixels, 48, axis=1), "i420", *SIZE, 60 + frame.mono_s, 0.0, frame.seq)
        for frame in frames
    ]
    looks = iter(pushed)
    moved = times_ms(lambda: health.watch(next(looks)), len(pushed))[5:]
    masks = Masks(
        [[(0.1, 0.1), (0.4, 0.05), (0.5, 0.5), (0.2, 0.4)], [(0.6, 0.6), (1, 0.6), (1, 1), (0.6, 1)]]
    )
    painted = times_ms(lambda: masks.paint(frames[0]), 300)[10:]
    beside = f"invoke of street-2: {invoke:.2f} ms"
    return [
        _cost_row(
            "a look at the view's health, twice a second, 640x480 I420, p50 / p95", well, beside, invoke
        ),
        _cost_row("the same while the view is not in place", moved, beside, invoke),
        _cost_row(
            "two privacy masks painted on a frame of 640x480 I420, p50 / p95", painted, "limit: 0.10 ms", 0.1
        ),
    ]


def _cost_row(what: str, taken: np.ndarray, beside: str, peer_ms: float) -> Row:
    median = float(np.median(taken))
    return Row(what, f"{median:.3f} / {np.percentile(taken, 95):.3f} ms", beside, f"{median / peer_ms:.2f}")
