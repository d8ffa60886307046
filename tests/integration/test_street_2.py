"""The shipped model does what its card and the demo promise, measured on streets it was not trained on."""

from __future__ import annotations

from pathlib import Path

import pytest

from device.models.bundle import load_bundle
from device.models.detections import Detections
from device.models.detector import Detector
from device.models.evaluation import EVALUATION_CONF, evaluate, load_dataset
from device.models.golden import mismatches
from device.models.labels import CLASSES
from hardware.camera.frame import Frame
from hardware.camera.street import Actor, Street

TIMES_S = (5.0, 14.0, 23.0, 32.0, 41.0)
SEEDS = (1, 2, 7, 42)
WIDTH, HEIGHT = 640, 480

Seen = list[tuple[Actor, bool]]


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    common = max(0.0, width) * max(0.0, height)
    area_a, area_b = ((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b))
    return common / (area_a + area_b - common)


def is_found(actor: Actor, found: Detections) -> bool:
    kind = CLASSES.index(actor.name)
    rows = zip(found.classes, found.boxes, strict=True)
    return any(k == kind and overlap(actor.box, tuple(box)) >= 0.5 for k, box in rows)


@pytest.fixture(scope="module", params=[False, True], ids=["day", "night"])
def seen(request: pytest.FixtureRequest) -> Seen:
    """Every actor of some simulated moments, and whether street-1 found it at its card's thresholds."""
    detector = Detector(load_bundle("street-1"))
    answers: Seen = []
    for seed in SEEDS:
        street = Street(seed, WIDTH, HEIGHT, night=request.param)
        for t_s in TIMES_S:
            found = detector.detect(Frame(street.render(t_s), "rgb", WIDTH, HEIGHT, 0.0, 0.0, 0))
            answers += [
                (actor, is_found(actor, found)) for actor in street.truth(t_s) if actor.visible >= 0.5
            ]
    return answers


def share_found(seen: Seen, *names: str) -> float:
    found = [was_found for actor, was_found in seen if actor.name in names]
    assert len(found) >= 5
    return sum(found) / len(found)


def test_street_1_finds_most_vehicles_of_the_simulated_street(seen: Seen) -> None:
    assert share_found(seen, "car", "bus", "truck") > 0.7


def test_street_1_finds_half_of_the_people_of_the_simulated_street(seen: Seen) -> None:
    assert share_found(seen, "person") > 0.5


def test_street_1_gives_its_golden_values_on_this_machine() -> None:
    assert mismatches(load_bundle("street-1")) == []


def test_street_1_measures_on_real_pictures_what_its_card_says(data_dir: Path) -> None:
    bundle = load_bundle("street-1")
    classes = ("bus", "car", "motorcycle", "person", "truck")
    report = evaluate(
        Detector(bundle, conf=EVALUATION_CONF), load_dataset(data_dir / "street" / "valid", classes)
    )
    accuracy = bundle.card.measured["accuracy"]
    assert isinstance(accuracy, dict)
    assert report.map50 == pytest.approx(accuracy["street/valid"]["int8_map50"], abs=0.01)
