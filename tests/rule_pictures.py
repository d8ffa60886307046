"""Draws the pictures of `docs/rules.md` anew: `python -m tests.rule_pictures [FOLDER]`.

Each rule is the example beside its picture. Somebody is put on the simulated street whom it should notice,
the rule is given the street's own truth as tracks, and the moment at which it first speaks is drawn. It is no
test and asserts nothing about rules; a rule that keeps silent ends it.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import msgspec
import numpy as np
from PIL import Image

from device.firmware.config import RuleSection
from device.firmware.duties import make_rule
from device.firmware.pipeline import small_picture
from device.firmware.rules import Happening, HeatRule, Rule, Watcher
from device.firmware.rules.heat import COLUMNS, ROWS
from device.firmware.tracks import Tracks
from device.models.labels import CLASSES
from hardware.camera.frame import Frame
from hardware.camera.street import Actor, Street
from pehra.demo.scenarios.stage import SIZE, Stage
from pehra.demo.scenarios.ways import Leg, walk

ROOT: Final = Path(__file__).resolve().parent.parent
DOCUMENT: Final = ROOT / "docs" / "rules.md"
PICTURES: Final = ROOT / "docs" / "pictures" / "rules"
SEED: Final = 8
FPS: Final = 8.0
LONGEST_S: Final = 120.0
HEAT_S: Final = 900.0
WIDTH: Final = 480
COLOURS: Final = 96
LARGEST_BYTES: Final = 60 * 1024
ZONE: Final = (191, 212, 45)
LINE: Final = (79, 191, 244)
SEEN: Final = (80, 80, 250)
OTHER: Final = (235, 235, 235)


@dataclass(frozen=True, slots=True)
class Moment:
    """What is drawn: when, who was there, what was told, and where the told one had been."""

    at_s: float
    told: Happening
    actors: list[Actor]
    trail: list[tuple[float, float]]


def main() -> None:
    """Draw all pictures and say how large they are."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=PICTURES)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for sections in examples():
        kind = sections[-1].kind
        file = folder / f"{kind}.png"
        write(file, heat_picture(sections[-1]) if kind == "heat" else picture(sections))
        size = file.stat().st_size
        sys.stdout.write(f"{file} {size / 1024:.0f} KiB{' TOO LARGE' if size > LARGEST_BYTES else ''}\n")


def examples() -> list[list[RuleSection]]:
    """The rules of each example in the document; the last of each is what it is about."""
    blocks = re.findall(r"```toml\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    return [msgspec.convert(tomllib.loads(block)["camera"]["rule"], list[RuleSection]) for block in blocks]


def picture(sections: list[RuleSection]) -> np.ndarray:
    """The street at the moment at which the last of the rules speaks."""
    section = sections[-1]
    stage = Stage(SEED, salt=31)
    CASTS[section.kind](stage)
    street = stage.street()
    moment = first_told(make_rule(section, sections), street, wanted=WANTED.get(section.kind, ""))
    image = dimmed(street.render(moment.at_s))
    for one in sections:
        draw_rule(image, one)
    for actor in moment.actors:
        draw_box(image, actor.box, OTHER, 1)
    draw_way(image, moment.trail)
    draw_box(image, moment.told.seen.box, SEEN, 3)
    write_words(image, words_of(moment.told))
    return image


def first_told(rule: Rule, street: Street, *, wanted: str) -> Moment:
    """Run a rule on a street's truth until it tells something (of the wanted kind)."""
    trails: dict[int, list[tuple[float, float]]] = {}
    for number in range(int(LONGEST_S * FPS)):
        at_s = number / FPS
        actors = [actor for actor in street.truth(at_s) if actor.name in CLASSES]
        for actor in actors:
            left, _, right, bottom = actor.box
            trails.setdefault(actor.id, []).append(((left + right) / 2, bottom))
        found = rule.apply(tracks_of(actors), at_s)
        if isinstance(rule, Watcher) and number % 4 == 0:
            picture = street.render(at_s)
            frame = Frame(picture, "rgb", picture.shape[1], picture.shape[0], at_s, at_s, number)
            found += rule.watch_small(small_picture(frame), at_s)
        told = [happening for happening in found if wanted in ("", happening.kind)]
        if told:
            return Moment(at_s, told[0], actors, trails.get(told[0].seen.track, []))
    sys.exit(f"rule {rule.name} said nothing in {LONGEST_S:.0f} s")


def tracks_of(actors: list[Actor]) -> Tracks:
    """The truth as a tracker that misses nothing would give it."""
    return Tracks(
        ids=np.array([actor.id for actor in actors], np.int64),
        classes=np.array([CLASSES.index(actor.name) for actor in actors], np.int64),
        scores=np.ones(len(actors), np.float32),
        boxes=np.array([actor.box for actor in actors], np.float32).reshape(-1, 4),
    )


def heat_picture(section: RuleSection) -> np.ndarray:
    """The street's own traffic of a quarter of an hour as a heat map."""
    rule, street = make_rule(section), Street(SEED, *SIZE)
    assert isinstance(rule, HeatRule)
    for number in range(int(HEAT_S * FPS / 4)):
        at_s = number * 4 / FPS
        rule.apply(tracks_of([actor for actor in street.truth(at_s) if actor.name in CLASSES]), at_s)
    seconds = rule.take().reshape(ROWS, COLUMNS)
    image = dimmed(street.render(2.0))
    height, width = image.shape[:2]
    strength = np.sqrt(seconds / seconds.max())
    for row, column in np.ndindex(ROWS, COLUMNS):
        cell = np.s_[
            row * height // ROWS : (row + 1) * height // ROWS,
            column * width // COLUMNS : (column + 1) * width // COLUMNS,
        ]
        share = 0.85 * strength[row, column]
        image[cell] = ((1 - share) * image[cell] + share * np.array((40, 60, 255))).astype(np.uint8)
        if seconds[row, column] >= 1:
            place = (column * width // COLUMNS + 3, (row + 1) * height // ROWS - 12)
            cv2.putText(
                image,
                f"{seconds[row, column]:.0f}",
                place,
                cv2.FONT_HERSHEY_SIMPLEX,
                0.32,
                OTHER,
                1,
                cv2.LINE_AA,
            )
    write_words(image, f"object-seconds in {HEAT_S / 60:.0f} minutes")
    return image


def _crosses(stage: Stage) -> None:
    lane = stage.lane(direction=1)
    left, right = stage.ends(lane.z_m)
    stage.vehicle("drives", "car", [(0.0, left, lane.z_m), (8.0, right, lane.z_m)])
    stage.person("walks", walk(5.0, [Leg(5, 9.6), Leg(-6, 9.6)], 1.3))


def _waits(stage: Stage) -> None:
    stage.person("waits", walk(0.0, [Leg(-7, 9.4), Leg(-1, 9.4, 20.0), Leg(5, 9.4)], 1.4))
    stage.person("passes", walk(6.0, [Leg(6, 10.0), Leg(-8, 10.0)], 1.3))


def _paces(stage: Stage) -> None:
    legs = [Leg(-7, 9.4), *[Leg(x, 9.4, 1.0) for x in (-2.5, 0.0, -2.0, 0.5, -2.2, 0.2, -2.4, 0.0, -2.0)]]
    stage.person("paces", walk(0.0, legs, 0.9))


def _gathers(stage: Stage) -> None:
    for number, (x, z) in enumerate(((-3, 9.5), (-2.2, 9.9), (-1.4, 9.4), (-0.7, 9.9), (0.1, 9.5))):
        start = -8.0 if number % 2 else 5.5
        stage.person("comes", walk(0.4 * number, [Leg(start, z), Leg(x, z, 30.0)], 1.5))


def _against(stage: Stage) -> None:
    lane = stage.lane(direction=1)
    left, right = stage.ends(lane.z_m)
    stage.vehicle("goes against", "motorcycle", [(0.0, right, lane.z_m), (6.0, left, lane.z_m)])
    far = stage.scene.lanes[1]
    stage.vehicle("drives", "car", [(0.0, left - 6, far.z_m), (6.0, right + 6, far.z_m)])


def _stands(stage: Stage) -> None:
    lane = stage.lane(direction=1)
    left, right = stage.ends(lane.z_m, 6.0)
    way = [(0.0, left, lane.z_m), (5.0, -1.5, lane.z_m), (45.0, -1.5, lane.z_m), (52.0, right, lane.z_m)]
    stage.vehicle("stands", "bus", way)
    stage.vehicle(
        "passes", "car", [(16.0, left, stage.scene.lanes[1].z_m), (24.0, right, stage.scene.lanes[1].z_m)]
    )


def _leaves(stage: Stage) -> None:
    stage.person("leaves it", walk(12.0, [Leg(-7, 9.4), Leg(-1.0, 9.4, 4.0), Leg(-8, 9.4)], 1.2))
    stage.suitcase("is left", [(18.0, -0.6, 9.3), (110.0, -0.6, 9.3), (115.0, -0.6, 9.3)])


def _speeds(stage: Stage) -> None:
    lane = stage.scene.lanes[1]
    left, right = stage.ends(lane.z_m, 4.0)
    stage.vehicle("speeds", "car", [(0.0, left, lane.z_m), ((right - left) / 11.0, right, lane.z_m)])


CASTS: Final[dict[str, Callable[[Stage], None]]] = {
    "zone": _waits,
    "line": _crosses,
    "loiter": _paces,
    "crowd": _gathers,
    "wrong-way": _against,
    "stopped": _stands,
    "left": _leaves,
    "speed": _speeds,
    "od": _crosses,
}
WANTED: Final = {"zone": "dwell"}


def dimmed(rgb: np.ndarray) -> np.ndarray:
    """A picture as BGR, small, smooth and a little darker, so that what is drawn on it stands out."""
    size = (WIDTH, WIDTH * rgb.shape[0] // rgb.shape[1])
    small = cv2.resize(cv2.bilateralFilter(rgb, 7, 30, 5), size, interpolation=cv2.INTER_AREA)
    return (small[..., ::-1] * 0.8).astype(np.uint8)


def draw_rule(image: np.ndarray, section: RuleSection) -> None:
    """A zone as a tinted area, a line with the arrow of its `in`."""
    if not section.points:
        return
    corners = pixels(image, section.points)
    if section.kind == "line":
        cv2.line(image, corners[0], corners[1], LINE, 2, cv2.LINE_AA)
        along = np.array(corners[1], float) - corners[0]
        middle = (np.array(corners[0]) + corners[1]) / 2
        tip = middle + np.array((-along[1], along[0])) / np.linalg.norm(along) * 28
        arrow(image, middle, tip, LINE)
        put_text(image, section.name, (corners[0][0] + 6, corners[0][1] - 4), LINE)
        return
    tinted = image.copy()
    cv2.fillPoly(tinted, [np.array(corners)], ZONE)
    cv2.addWeighted(tinted, 0.18, image, 0.82, 0, image)
    cv2.polylines(image, [np.array(corners)], True, ZONE, 2, cv2.LINE_AA)
    if isinstance(section.direction, list):
        arrow(image, *map(np.array, pixels(image, section.direction)), ZONE)
    for corner, place in zip(section.ground or [], corners, strict=False):
        put_text(
            image, f"{corner[0]:g}, {corner[1]:g} m", (min(place[0] + 4, WIDTH - 70), place[1] - 5), ZONE
        )


def draw_way(image: np.ndarray, trail: list[tuple[float, float]]) -> None:
    """The way of the told one so far."""
    if len(trail) > 1:
        cv2.polylines(image, [np.array(pixels(image, trail))], False, SEEN, 2, cv2.LINE_AA)


def draw_box(image: np.ndarray, box: tuple[float, ...], colour: tuple[int, ...], thick: int) -> None:
    """A box."""
    first, second = pixels(image, [(box[0], box[1]), (box[2], box[3])])
    cv2.rectangle(image, first, second, colour, thick, cv2.LINE_AA)


def arrow(image: np.ndarray, start: np.ndarray, end: np.ndarray, colour: tuple[int, ...]) -> None:
    """An arrow."""
    ends = [tuple(int(v) for v in point) for point in (start, end)]
    cv2.arrowedLine(
        image,
        ends[0],
        ends[1],
        colour,
        2,
        cv2.LINE_AA,
        tipLength=0.08 if ends[1][0] - ends[0][0] > 99 else 0.35,
    )


def words_of(told: Happening) -> str:
    """What an event says, in one line."""
    parts = [told.kind if told.is_event else told.tally, told.direction or ""]
    parts += [
        f"{told.number} of them" if told.number else "",
        f"{told.speed_mps:.1f} m/s" if told.speed_mps else "",
    ]
    parts += [f"{told.duration_s:.0f} s" if told.duration_s else ""]
    return "  ".join(part for part in parts if part)


def write_words(image: np.ndarray, words: str) -> None:
    """A line of words at the top."""
    cv2.rectangle(image, (0, 0), (WIDTH, 24), (30, 24, 18), -1)
    put_text(image, words, (8, 17), OTHER, 0.5)


def put_text(
    image: np.ndarray, words: str, place: tuple[int, int], colour: tuple[int, ...], size: float = 0.4
) -> None:
    """Words."""
    cv2.putText(image, words, place, cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)


def pixels(image: np.ndarray, points: list[tuple[float, float]]) -> list[tuple[int, int]]:
    """Shares of the picture as pixels."""
    height, width = image.shape[:2]
    return [(round(x * width), round(y * height)) for x, y in points]


def write(file: Path, image: np.ndarray) -> None:
    """Save as a PNG of few colours."""
    few = Image.fromarray(image[..., ::-1].copy()).quantize(COLOURS, dither=Image.Dither.NONE)
    few.save(file, optimize=True)


if __name__ == "__main__":
    main()
