"""What an evaluation found, as it is printed in JSON. Only values."""

from __future__ import annotations

import msgspec


class ClassScore(msgspec.Struct, frozen=True):
    """One class; precisions and recalls are 0..1.

    Attributes:
        ap50: COCO's average precision at IoU 0.5.
        ap50_95: The same, averaged over IoU 0.50, 0.55 ... 0.95.
        boxes: Labelled boxes.
        precision: Share of its detections at the report's `conf` that are right; None where there is none.
        recall: Share of its boxes that are found at the report's `conf`.
    """

    ap50: float
    ap50_95: float
    boxes: int
    precision: float | None
    recall: float | None


class SizeBin(msgspec.Struct, frozen=True):
    """Boxes whose side, the root of width times height, lies between two bounds.

    Attributes:
        side_from_px: Least side, in pixels of the model's input.
        side_below_px: The side that is too large; None for no bound.
        boxes: Labelled boxes.
        found: Those found by their class at the report's `conf`.
        recall: Their share; None where there is no box.
    """

    side_from_px: int
    side_below_px: int | None
    boxes: int
    found: int
    recall: float | None


class Confusion(msgspec.Struct, frozen=True):
    """What was taken for what at the report's `conf`, paired by place alone.

    Attributes:
        truth: Names of the rows; the last, "background", holds the detections where nothing is labelled.
        predicted: Names of the columns; the last, "missed", holds the boxes that nothing was found at.
        counts: Rows by columns.
    """

    truth: list[str]
    predicted: list[str]
    counts: list[list[int]]


class CardFloat(msgspec.Struct, frozen=True):
    """Float against int8 as the model's card tells it, not measured in this run.

    Attributes:
        pictures: Name of the set that its maker measured on.
        float_map50: Before the quantisation.
        int8_map50: After it.
        int8_loss: Their difference; positive where int8 is worse.
    """

    pictures: str
    float_map50: float
    int8_map50: float
    int8_loss: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What an evaluation found; precisions and recalls are 0..1.

    Attributes:
        model: Name on its card.
        map50: Mean over `classes` of average precision at IoU 0.5.
        map50_95: The same, averaged over IoU 0.50, 0.55 ... 0.95.
        classes: The classes averaged: those that the dataset and every model of the run know, and that have
            boxes.
        conf_floor: The score from which average precision counts a detection.
        conf: The score from which `precision`, `recall`, `recall_by_size` and `confusion` count a detection.
        precision: Of all detections of all classes together; None where there is none.
        recall: Of all boxes of all classes together.
        per_class: Every class that this model and the dataset know and that has boxes.
        recall_by_size: From small to large.
        confusion: What was taken for what.
        images: Pictures evaluated.
        guessed_labels: Names of the dataset's class numbers where these were guessed from what the model saw,
            so that the scores may flatter it; empty where the dataset or the person named them.
        skipped: Pictures that could not be read.
        invoke_ms_p50: Median time of the model itself.
        invoke_ms_p95: What 19 of 20 invokes stay below.
        input: Width and height of its input, pixels.
        size_bytes: Of the `.tflite` file.
        sha256: Of the `.tflite` file.
        float_map50: Of its float parent in the same run; None where none was given.
        int8_loss: `float_map50` less `map50`; None where no float parent was given.
        float_from_card: What the card tells of float against int8.
        invoke_ratio: In `against`: median invoke time of the first model, divided by this one's.
        against: The other models of the run.
    """

    model: str
    map50: float
    map50_95: float
    classes: list[str]
    conf_floor: float
    conf: float
    precision: float | None
    recall: float | None
    per_class: dict[str, ClassScore]
    recall_by_size: list[SizeBin]
    confusion: Confusion
    images: int
    skipped: int
    invoke_ms_p50: float
    invoke_ms_p95: float
    input: tuple[int, int]
    size_bytes: int
    sha256: str
    float_map50: float | None = None
    int8_loss: float | None = None
    float_from_card: list[CardFloat] = []
    guessed_labels: list[str] = []
    invoke_ratio: float | None = None
    against: list[Report] = []
