"""Models over a dataset, in turns picture by picture, and their scores. Never draws and never writes."""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from device.errors import ConfigError, ModelUnavailable
from device.models.bundle import Bundle, read_model
from device.models.detector import Detector
from device.models.evaluation.dataset import Dataset, Labelled
from device.models.evaluation.matching import Matched, confusion, count, match, recall_by_size
from device.models.evaluation.precision import Curve, Seen, average_precision
from device.models.evaluation.report import CardFloat, ClassScore, Report
from device.models.interpreter import Interpreter
from device.models.labels import CLASSES, NOT_OURS, classes_of
from hardware.camera.frame import Frame
from hardware.camera.stills import UnreadablePhoto, read_photo

EVALUATION_CONF = 0.001
"""The floor at which average precision is measured: a curve needs its far end (Ultralytics `val`, too)."""

FLOAT_FILE = "float.tflite"
"""The float parent of a bundle, in the folder that `pehra models train` writes."""

Progress = Callable[[Sequence[Labelled]], Iterator[Labelled]]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One model's report, and what it was made of.

    Attributes:
        report: The scores.
        curves: Class number to its average precision and curve.
        matched: Every picture at the report's `conf`.
        unreadable: Pictures left out, and why.
    """

    report: Report
    curves: dict[int, Curve]
    matched: list[Matched]
    unreadable: list[tuple[Path, str]]


def evaluate(detector: Detector, dataset: Dataset, progress: Progress = iter) -> Report:
    """Score one model; see :func:`evaluate_together`."""
    return evaluate_together([detector], dataset, progress)[0].report


def evaluate_together(
    detectors: Sequence[Detector], dataset: Dataset, progress: Progress = iter
) -> list[Evaluation]:
    """Run detectors over a dataset and score them over the classes that all of them and the dataset know.

    Every picture is shown to each detector before the next is read, and another one begins each time, so
    that their times compare.

    Args:
        detectors: Each made with a low floor, such as :data:`EVALUATION_CONF`, and its card's IoU.
        dataset: Of at least one picture.
        progress: Wraps the pictures, to show how far it is.

    Returns:
        One evaluation a detector, in their order.

    Raises:
        ConfigError: pycocotools is missing, no picture can be read, or there is no class in common.
    """
    common = shared_classes([detector.bundle for detector in detectors], dataset)
    seen: list[list[Seen]] = [[] for _ in detectors]
    times_ms: list[list[float]] = [[] for _ in detectors]
    unreadable = []
    for labelled in progress(dataset.pictures):
        try:
            pixels = read_photo(labelled.path)
        except UnreadablePhoto as error:
            unreadable.append((labelled.path, str(error)))
            continue
        height, width = pixels.shape[:2]
        frame = Frame(pixels, "rgb", width, height, 0.0, 0.0, 0)
        for which in _turn(len(detectors), len(seen[0])):
            seen[which].append(Seen(labelled, width, height, detectors[which].detect(frame)))
            times_ms[which].append(detectors[which].last_invoke_ms)
    if not seen[0]:
        raise ConfigError(dataset.folder, None, "", "no picture could be read")
    return [
        _evaluation(detector, dataset, common, looks, times, unreadable)
        for detector, looks, times in zip(detectors, seen, times_ms, strict=True)
    ]


def _turn(detectors: int, picture: int) -> Iterable[int]:
    return ((picture + number) % detectors for number in range(detectors))


def shared_classes(bundles: Sequence[Bundle], dataset: Dataset) -> list[int]:
    """Class numbers that both the dataset and the models know, ascending.

    Raises:
        ConfigError: There is none.
    """
    common = set(classes_of(dataset.labels).tolist()) - {NOT_OURS}
    for bundle in bundles:
        common &= set(classes_of(bundle.card.labels).tolist())
    if not common:
        whose = "the model" if len(bundles) == 1 else "all the models"
        raise ConfigError(
            dataset.folder, None, "", f"none of {', '.join(dataset.labels)} is a class of {whose}"
        )
    return sorted(common)


def _evaluation(
    detector: Detector,
    dataset: Dataset,
    common: list[int],
    seen: list[Seen],
    times_ms: list[float],
    unreadable: list[tuple[Path, str]],
) -> Evaluation:
    """Scores of one detector: means over the classes in common, rows of all that it and the dataset know."""
    bundle = detector.bundle
    known = shared_classes([bundle], dataset)
    curves = average_precision(seen, known)
    conf = max(bundle.card.thresholds.conf, detector.conf)
    matched = match(seen, known, conf)
    averaged = [number for number in curves if number in common]
    overall = count(matched, averaged)
    report = Report(
        model=bundle.card.name,
        map50=_mean([curves[number].ap50 for number in averaged]),
        map50_95=_mean([curves[number].ap50_95 for number in averaged]),
        classes=[CLASSES[number] for number in averaged],
        conf_floor=detector.conf,
        conf=conf,
        precision=overall.precision,
        recall=overall.recall,
        per_class={CLASSES[number]: _score(curve, matched, number) for number, curve in curves.items()},
        recall_by_size=recall_by_size(matched, bundle.card.input),
        confusion=confusion(matched, known),
        images=len(seen),
        skipped=len(unreadable),
        invoke_ms_p50=round(statistics.median(times_ms), 3),
        invoke_ms_p95=round(float(np.percentile(times_ms, 95)), 3),
        input=(bundle.card.input.width, bundle.card.input.height),
        size_bytes=bundle.size_bytes,
        sha256=bundle.sha256,
        float_from_card=_told_by_card(bundle),
        guessed_labels=list(dataset.labels) if dataset.is_guessed else [],
    )
    return Evaluation(report, curves, matched, unreadable)


def _score(curve: Curve, matched: list[Matched], number: int) -> ClassScore:
    counts = count(matched, [number])
    return ClassScore(curve.ap50, curve.ap50_95, curve.boxes, counts.precision, counts.recall)


def _mean(values: list[float]) -> float:
    return round(statistics.fmean(values), 5) if values else 0.0


def _told_by_card(bundle: Bundle) -> list[CardFloat]:
    """Every pair of float and int8 in `[measured.accuracy]`; cards of others may hold anything there."""
    accuracy = bundle.card.measured.get("accuracy")
    rows = []
    for name, row in accuracy.items() if isinstance(accuracy, dict) else ():
        as_float, as_int8 = (
            (row.get("float_map50"), row.get("int8_map50")) if isinstance(row, dict) else (None, None)
        )
        if isinstance(as_float, float) and isinstance(as_int8, float):
            rows.append(CardFloat(str(name), as_float, as_int8, round(as_float - as_int8, 5)))
    return rows


def compared(report: Report, others: Sequence[Report], as_float: Report | None) -> Report:
    """A report with those of the other models of its run.

    Args:
        report: Of the model that was asked about.
        others: Of models to compare it with.
        as_float: Of its float parent, if there was one.
    """
    with_ratio = [
        msgspec.structs.replace(other, invoke_ratio=round(report.invoke_ms_p50 / other.invoke_ms_p50, 4))
        for other in others
    ]
    if as_float is None:
        return msgspec.structs.replace(report, against=with_ratio)
    loss = round(as_float.map50 - report.map50, 5)
    return msgspec.structs.replace(report, against=with_ratio, float_map50=as_float.map50, int8_loss=loss)


def float_parent(bundle: Bundle, place: Path) -> Bundle:
    """The float32 network that a bundle was quantised from, to be read as the bundle's card says.

    Args:
        bundle: The quantised model.
        place: A float32 `.tflite` file, or a folder that holds a :data:`FLOAT_FILE`.

    Raises:
        ModelUnavailable: There is no such file, or it is not float, or of another size.
    """
    file = place / FLOAT_FILE if place.is_dir() else place
    content = read_model(file)
    image = Interpreter(file, content).image_input
    wanted = bundle.card.input
    if image.dtype != np.float32 or image.shape[1:3] != (wanted.height, wanted.width):
        raise ModelUnavailable(
            file,
            f"its input is {image.dtype.name} of {image.shape[2]}x{image.shape[1]}",
            f"give the float32 file of {wanted.width}x{wanted.height} that {bundle.card.name} was made of",
        )
    card = msgspec.structs.replace(
        bundle.card,
        name=f"{bundle.card.name} in float",
        input=msgspec.structs.replace(wanted, dtype="float32", scale=0.0, zero_point=0),
        sha256="",
        measured={},
        golden=[],
    )
    return Bundle(path=file, card=card, sha256=hashlib.sha256(content).hexdigest())
