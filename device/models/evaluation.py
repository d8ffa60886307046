"""How good a detector is on pictures that people have labelled: average precision as COCO counts it.

Reads a dataset in YOLO's form and scores detections with pycocotools, which needs the extra `[train]` or
`[dev]`. Never trains and never writes.
"""

from __future__ import annotations

import contextlib
import io
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from device.errors import ConfigError
from device.models.detections import Detections
from device.models.detector import Detector
from device.models.labels import CLASSES, NOT_OURS, classes_of
from hardware.camera.frame import Frame
from hardware.camera.stills import SUFFIXES, UnreadablePhoto, read_photo

EVALUATION_CONF = 0.001
"""The floor at which average precision is measured: a curve needs its far end (Ultralytics `val`, too)."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """One picture of a dataset.

    Attributes:
        path: The picture.
        classes: int64 (N,), index into CLASSES, or -1 for what Pehra has no word for.
        boxes: float64 (N, 4), left, top, right, bottom in 0..1.
    """

    path: Path
    classes: npt.NDArray[np.int64]
    boxes: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Dataset:
    """Pictures and their boxes.

    Attributes:
        folder: Where they lie.
        labels: The dataset's own classes, by number.
        pictures: Sorted by name.
    """

    folder: Path
    labels: tuple[str, ...]
    pictures: tuple[Labelled, ...]


class Report(msgspec.Struct, frozen=True):
    """What an evaluation found; precisions are 0..1.

    Attributes:
        map50: Mean over the classes of average precision at IoU 0.5.
        map50_95: The same, averaged over IoU 0.50, 0.55 ... 0.95.
        per_class: Class to its `ap50`, `ap50_95` and number of labelled `boxes`.
        classes: The classes averaged: those that both the dataset and the model know.
        images: Pictures evaluated.
        skipped: Pictures that could not be read.
        invoke_ms_p50: Median time of the model itself.
        size_bytes: Of the `.tflite` file.
        model: Name on its card.
        sha256: Of the `.tflite` file.
    """

    map50: float
    map50_95: float
    per_class: dict[str, dict[str, float]]
    classes: list[str]
    images: int
    skipped: int
    invoke_ms_p50: float
    size_bytes: int
    model: str
    sha256: str


def load_dataset(folder: Path, labels: Sequence[str] = ()) -> Dataset:
    """Read a dataset of YOLO's form: `images/`, `labels/`, and `data.yaml` or the labels as given.

    Args:
        folder: Holds `images` and `labels`.
        labels: Its classes in the order of their numbers; from `data.yaml` where not given.

    Raises:
        ConfigError: A folder or the classes are missing, or a row of a label file is wrong.
    """
    for part in ("images", "labels"):
        if not (folder / part).is_dir():
            raise ConfigError(folder, None, "", f"there is no folder {part}/: give a dataset of YOLO's form")
    names = tuple(labels) or _names_of(folder)
    pictures = sorted(path for path in (folder / "images").iterdir() if path.suffix.lower() in SUFFIXES)
    if not pictures:
        raise ConfigError(folder, None, "", "images/ holds no picture")
    ours = classes_of(names)
    return Dataset(folder, names, tuple(_labelled(path, folder, ours) for path in pictures))


def _names_of(folder: Path) -> tuple[str, ...]:
    """Class names of a `data.yaml` in the folder or the one above."""
    for file in (folder / "data.yaml", folder.parent / "data.yaml"):
        if file.is_file():
            try:
                names = msgspec.yaml.decode(file.read_bytes(), type=_DataYaml).names
            except ImportError as error:
                raise ConfigError(
                    file, None, "", "reading it needs PyYAML: give --classes instead"
                ) from error
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise ConfigError(
                    file, None, "names", f"is not a list or map of class names ({error})"
                ) from error
            return tuple(names) if isinstance(names, list) else tuple(names[key] for key in sorted(names))
    raise ConfigError(folder, None, "", "there is no data.yaml: name the classes, in order, with --classes")


class _DataYaml(msgspec.Struct):
    names: list[str] | dict[int, str]


def _labelled(path: Path, folder: Path, ours: npt.NDArray[np.int64]) -> Labelled:
    file = folder / "labels" / f"{path.stem}.txt"
    rows = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    parsed = [_row(file, line, text, len(ours)) for line, text in enumerate(rows, start=1) if text.strip()]
    numbers = np.array([number for number, _ in parsed], np.int64)
    centres = np.array([box for _, box in parsed], np.float64).reshape(-1, 4)
    half = centres[:, 2:] / 2
    boxes = np.concatenate([centres[:, :2] - half, centres[:, :2] + half], axis=1)
    return Labelled(path, ours[numbers], boxes)


def _row(file: Path, line: int, text: str, class_count: int) -> tuple[int, list[float]]:
    try:
        number, *box = text.split()
        row = int(number), [float(value) for value in box[:4]]
    except ValueError as error:
        raise ConfigError(file, line, "", "is not `class x_centre y_centre width height`") from error
    if not 0 <= row[0] < class_count or len(row[1]) != 4:
        raise ConfigError(
            file, line, "", f"class {row[0]} is not one of {class_count}, or a number is missing"
        )
    return row


def evaluate(
    detector: Detector, dataset: Dataset, progress: Callable[[Sequence[Labelled]], Iterator[Labelled]] = iter
) -> Report:
    """Run a detector over a dataset and score it.

    Args:
        detector: Made with a low floor, such as :data:`EVALUATION_CONF`, and the card's IoU.
        dataset: Of at least one picture.
        progress: Wraps the pictures, to show how far it is.

    Raises:
        ConfigError: pycocotools is missing, or dataset and model have no class in common.
    """
    common = shared_classes(detector, dataset)
    found: list[tuple[Labelled, tuple[int, int], Detections]] = []
    invoke_ms: list[float] = []
    for labelled in progress(dataset.pictures):
        try:
            pixels = read_photo(labelled.path)
        except UnreadablePhoto:
            continue
        height, width = pixels.shape[:2]
        frame = Frame(pixels, "rgb", width, height, 0.0, 0.0, 0)
        found.append((labelled, (width, height), detector.detect(frame)))
        invoke_ms.append(detector.last_invoke_ms)
    if not found:
        raise ConfigError(dataset.folder, None, "", "no picture could be read")
    per_class = average_precision(found, common)
    return Report(
        map50=_mean(per_class, "ap50"),
        map50_95=_mean(per_class, "ap50_95"),
        per_class=per_class,
        classes=list(per_class),
        images=len(found),
        skipped=len(dataset.pictures) - len(found),
        invoke_ms_p50=round(statistics.median(invoke_ms), 3),
        size_bytes=detector.bundle.size_bytes,
        model=detector.bundle.card.name,
        sha256=detector.bundle.sha256,
    )


def shared_classes(detector: Detector, dataset: Dataset) -> list[int]:
    """Class numbers that both the dataset and the model know, ascending.

    Raises:
        ConfigError: There is none.
    """
    theirs = set(classes_of(dataset.labels).tolist()) - {NOT_OURS}
    common = sorted(theirs & set(classes_of(detector.bundle.card.labels).tolist()))
    if not common:
        raise ConfigError(
            dataset.folder, None, "", f"none of {', '.join(dataset.labels)} is a class of the model"
        )
    return common


def _mean(per_class: dict[str, dict[str, float]], key: str) -> float:
    return round(statistics.fmean(row[key] for row in per_class.values()), 5) if per_class else 0.0


def average_precision(
    found: Sequence[tuple[Labelled, tuple[int, int], Detections]], classes: Sequence[int]
) -> dict[str, dict[str, float]]:
    """COCO's average precision (pycocotools, at most 100 boxes a picture) of each class that has boxes.

    Args:
        found: Picture, its (width, height) in pixels, and what was detected in it.
        classes: Class numbers to score.

    Raises:
        ConfigError: pycocotools is missing.
    """
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise ConfigError(None, None, "", "scoring needs pycocotools: install pehra[train]") from error
    truth, results = _coco_tables(found, classes)
    counts = {number: sum(row["category_id"] == number for row in truth["annotations"]) for number in classes}
    scored = [number for number in classes if counts[number]]
    if not scored:
        return {}
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        judge = COCOeval(coco, coco.loadRes(results) if results else COCO(), "bbox")
        judge.params.imgIds = [image["id"] for image in truth["images"]]
        judge.params.catIds = scored
        judge.evaluate()
        judge.accumulate()
    precision = judge.eval["precision"][:, :, :, 0, -1]
    return {
        CLASSES[number]: {
            "ap50": _area_under(precision[0, :, column]),
            "ap50_95": _area_under(precision[:, :, column]),
            "boxes": float(counts[number]),
        }
        for column, number in enumerate(scored)
    }


def _area_under(precision: npt.NDArray[np.float64]) -> float:
    known = precision[precision > -1]
    return round(float(known.mean()), 5) if known.size else 0.0


_Row = dict[str, int | float | list[float]]


def _coco_tables(
    found: Sequence[tuple[Labelled, tuple[int, int], Detections]], classes: Sequence[int]
) -> tuple[dict[str, list[_Row]], list[_Row]]:
    """Truth and results in COCO's form, in pixels."""
    images: list[_Row] = []
    annotations: list[_Row] = []
    results: list[_Row] = []
    for image_id, (labelled, (width, height), detections) in enumerate(found, start=1):
        images.append({"id": image_id, "width": width, "height": height})
        size = np.array([width, height, width, height], np.float64)
        for number, corners in zip(labelled.classes.tolist(), labelled.boxes * size, strict=True):
            if number in classes:
                box = [*corners[:2].tolist(), *(corners[2:] - corners[:2]).tolist()]
                row: _Row = {"id": len(annotations) + 1, "image_id": image_id, "category_id": number}
                annotations.append({**row, "bbox": box, "area": box[2] * box[3], "iscrowd": 0})
        for number, score, corners in zip(
            detections.classes.tolist(), detections.scores.tolist(), detections.boxes * size, strict=True
        ):
            if number in classes:
                box = [*corners[:2].tolist(), *(corners[2:] - corners[:2]).tolist()]
                results.append({"image_id": image_id, "category_id": number, "bbox": box, "score": score})
    categories: list[_Row] = [{"id": number} for number in classes]
    return {"images": images, "annotations": annotations, "categories": categories}, results
