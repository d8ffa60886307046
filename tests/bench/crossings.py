"""How many crossings of the simulated street are counted, seed by seed, and why the others are not.

Each seed is drawn and detected once and kept (`--cache`), so that tracker and rules can be tried on the same
detections again in seconds: `python -m tests.bench.crossings --model street-2 --seeds 0-7 --seconds 120`.
Line, size, pace and nights are the demo's. It judges nothing: numbers are for reading.
"""

from __future__ import annotations

import argparse
import hashlib
import pickle
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from device.firmware.geometry import overlaps
from device.firmware.motion import MotionGate, MotionSettings
from device.firmware.rules import Happening, LineRule
from device.firmware.tracker import Tracker
from device.models.bundle import load_bundle
from device.models.detections import Detections
from device.models.detector import Detector
from hardware.camera.frame import Frame, rgb_to_i420
from hardware.camera.street import Actor, Street
from pehra.demo.plan import NIGHT_EVERY, SIZE, STREET_FPS, STREET_LINE_POINTS
from pehra.demo.truth import TOLERANCE_S, Agreement, Crossing, Witness, agreement, matches

ON_ACTOR: Final = 0.4
"""A box that overlaps an actor more than this is taken for a box of that actor."""


@dataclass(frozen=True, slots=True)
class Look:
    """One moment of a street.

    Attributes:
        at_s: when.
        is_looked: whether the motion gate lets it pass.
        detections: what the detector finds in it, gate or no gate.
        actors: who is there.
    """

    at_s: float
    is_looked: bool
    detections: Detections
    actors: list[Actor]


@dataclass(frozen=True, slots=True)
class Judged:
    """One seed's result; `causes` says why crossings were missed or told without happening."""

    agreement: Agreement
    causes: Counter[str]


def main(arguments: list[str] | None = None) -> None:
    """Print one line a seed, then all together with the causes of what is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.crossings", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--model", default="street-2", help="shipped model, bundle folder or .tflite file")
    parser.add_argument("--seeds", default="1-8", help="such as 1-8 or 21,22,24")
    parser.add_argument("--seconds", type=float, default=120.0, help="of each street")
    parser.add_argument("--drop", type=float, default=0.0, help="share of frames that a busy device loses")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "pehra-crossings")
    chosen = parser.parse_args(arguments)
    whole, causes = Agreement(), Counter[str]()
    for seed in _numbers(chosen.seeds):
        night = seed % NIGHT_EVERY == 0
        looks = kept_looks(chosen.cache, chosen.model, seed, chosen.seconds, night=night)
        judged = judge(looks, truth_of(seed, chosen.seconds, night=night), drop=chosen.drop)
        _say(f"seed {seed:3} {'night' if night else 'day  '}", judged.agreement)
        whole, causes = whole + judged.agreement, causes + judged.causes
    _say("all           ", whole)
    for cause, number in causes.most_common():
        sys.stdout.write(f"  {number:4} {cause}\n")


def kept_looks(cache: Path, model: str, seed: int, seconds: float, *, night: bool) -> list[Look]:
    """Return `look_at` of these arguments, from the cache if it was done before."""
    bundle = load_bundle(model, int8_only=True)
    name = f"{bundle.sha256}-{bundle.card.thresholds}-{seed}-{seconds}-{night}"
    file = cache / f"{hashlib.sha256(name.encode()).hexdigest()[:20]}.pickle"
    if not file.exists():
        cache.mkdir(parents=True, exist_ok=True)
        file.write_bytes(pickle.dumps(look_at(Detector(bundle), seed, seconds, night=night)))
    kept: list[Look] = pickle.loads(file.read_bytes())
    return kept


def look_at(detector: Detector, seed: int, seconds: float, *, night: bool) -> list[Look]:
    """Draw a street and detect in every frame."""
    street, gate = Street(seed, *SIZE, night=night), MotionGate(MotionSettings())
    looks = []
    for number in range(int(seconds * STREET_FPS)):
        at_s = number / STREET_FPS
        frame = Frame(rgb_to_i420(street.render(at_s)), "i420", *SIZE, at_s, 1.8e9 + at_s, number)
        is_looked = gate.should_look(frame.luma, at_s)
        looks.append(Look(at_s, is_looked, detector.detect(frame), street.truth(at_s)))
    return looks


def truth_of(seed: int, seconds: float, *, night: bool) -> list[Crossing]:
    """Return what really crosses the demo's line in a street."""
    witness = Witness(Street(seed, *SIZE, night=night), STREET_LINE_POINTS, fps=STREET_FPS)
    witness.look_until(seconds + TOLERANCE_S)
    return witness.crossings


def judge(looks: list[Look], happened: list[Crossing], *, drop: float = 0.0) -> Judged:
    """Run tracker and rule over the looks and compare what they tell with what happened."""
    found = list(told_by_rule(looks, drop=drop))
    told = [Crossing(at_s, str(seen.direction), seen.seen.track) for at_s, seen in found]
    event_of = matches(happened, told)
    end_s = looks[-1].at_s
    causes = Counter[str]()
    for i, real in enumerate(happened):
        if i not in event_of and TOLERANCE_S <= real.at_s <= end_s - TOLERANCE_S:
            causes[f"missed: {_why_missed(real, looks)}"] += 1
    for j, (at_s, happening) in enumerate(found):
        if j not in event_of.values():
            causes[f"false: {_why_false(at_s, happening, looks, [happened[i] for i in event_of])}"] += 1
    return Judged(agreement(happened, told, 0.0, end_s), causes)


def told_by_rule(looks: list[Look], *, drop: float = 0.0) -> Iterable[tuple[float, Happening]]:
    """Yield what the line rule notices, with its moment; a share of the frames may be lost before."""
    tracker, rule = Tracker(), LineRule("line", *map(np.array, STREET_LINE_POINTS))
    chance = np.random.default_rng(0)
    for look in looks:
        if chance.random() < drop:
            continue
        if not look.is_looked:
            tracker.hold(look.at_s)
            continue
        for happening in rule.apply(tracker.update(look.detections, look.at_s), look.at_s):
            yield look.at_s, happening


def _why_missed(real: Crossing, looks: list[Look]) -> str:
    near = [look for look in looks if abs(look.at_s - real.at_s) < 1.5]
    boxes = [
        (look, actor.box, actor.visible) for look in near for actor in look.actors if actor.id == real.who
    ]
    if len(boxes) < 0.6 * len(near):
        return "out of sight for a part of the way"
    if np.median([visible for _, _, visible in boxes]) < 0.6:
        return "mostly behind others"
    found = sum(_overlap(box, look.detections.boxes) > ON_ACTOR for look, box, _ in boxes)
    if found < 0.5 * len(boxes):
        return "detected in fewer than half of the frames"
    return "detected, but its track was lost, late or another's"


def _why_false(at_s: float, happening: Happening, looks: list[Look], counted: list[Crossing]) -> str:
    look = next(look for look in looks if look.at_s == at_s)
    boxes = np.array([actor.box for actor in look.actors], np.float32).reshape(-1, 4)
    shares = overlaps(np.array([happening.seen.box], np.float32), boxes)[0]
    if not len(shares) or shares.max() < 1.0 - 2 * ON_ACTOR:
        return "nobody is there"
    who, direction = look.actors[int(shares.argmax())].id, happening.direction
    if any(
        real.who == who and real.direction == direction and abs(real.at_s - at_s) < 2.5 for real in counted
    ):
        return "counted twice"
    return "a track that went over from one to another, or trembled"


def _overlap(box: tuple[float, float, float, float], boxes: np.ndarray) -> float:
    return float(overlaps(np.array([box], np.float32), boxes).max(initial=0.0))


def _numbers(text: str) -> list[int]:
    numbers: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def _say(what: str, numbers: Agreement) -> None:
    sys.stdout.write(
        f"{what}  true {numbers.true:4}  counted {numbers.counted_share or 0:6.1%}  "
        f"missed {numbers.missed:3}  false {numbers.false:3} ({numbers.false_share or 0:.1%})\n"
    )
    sys.stdout.flush()


if __name__ == "__main__":
    main()
