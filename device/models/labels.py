"""The six classes of Pehra, and how the labels of other people's models map to them.

Tables and pure functions; never opens a file.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

CLASSES = ("person", "bicycle", "motorcycle", "car", "bus", "truck")
"""What Pehra knows; the order is that of class numbers on the wire and in :class:`Detections`."""

NOT_OURS = -1
"""The class number of a label that Pehra has no word for."""

COCO_80 = (
    *("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat"),
    *("traffic light", "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse"),
    *("sheep", "cow", "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie"),
    *("suitcase", "frisbee", "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove"),
    *("skateboard", "surfboard", "tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon"),
    *("bowl", "banana", "apple", "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut"),
    *("cake", "chair", "couch", "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse"),
    *("remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "book"),
    *("clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush"),
)
"""The 80 classes of COCO 2017 in the order that YOLO models use (cocodataset.org)."""

_COCO_ID_GAPS = frozenset((12, 26, 29, 30, 45, 66, 68, 69, 71, 83))
"""The ids of COCO's first 90 that no picture was ever labelled with (instances_train2017.json)."""


def _coco_90() -> tuple[str, ...]:
    names = iter(COCO_80)
    return tuple("???" if category_id in _COCO_ID_GAPS else next(names) for category_id in range(1, 91))


COCO_90 = _coco_90()
"""COCO by category id minus one, gaps as ``???``: the numbering of TensorFlow's detection models."""

_SYNONYMS = {
    "pedestrian": "person",
    "pedestrians": "person",
    "people": "person",
    "human": "person",
    "bike": "bicycle",
    "cycle": "bicycle",
    "motorbike": "motorcycle",
    "motor": "motorcycle",
    "lorry": "truck",
}
"""Other data sets' words for the same things (VOC, VisDrone, KITTI)."""


def class_of(label: str) -> int:
    """The class number of a label, or :data:`NOT_OURS`."""
    word = label.strip().lower()
    word = _SYNONYMS.get(word, word)
    return CLASSES.index(word) if word in CLASSES else NOT_OURS


def classes_of(labels: Sequence[str]) -> npt.NDArray[np.int64]:
    """The class number of each label.

    Args:
        labels: A model's labels, in the order of its outputs.

    Returns:
        int64 (len(labels),), :data:`NOT_OURS` where Pehra has no word for the label.
    """
    return np.array([class_of(label) for label in labels], np.int64)


COCO_TO_OURS: dict[int, int] = {
    number: class_of(label) for number, label in enumerate(COCO_80) if class_of(label) != NOT_OURS
}
"""COCO-80 class number to ours."""

BACKGROUND_WORDS = frozenset(("???", "background", "__background__"))
"""First lines of label files that stand for "nothing"."""


def without_background(labels: Sequence[str], class_count: int | None) -> tuple[str, ...]:
    """Drop the first label where it is a background word that the model's output does not number.

    Args:
        labels: The lines of a label file.
        class_count: How many classes the model's output tells apart, or None where that is not known.
    """
    has_background = bool(labels) and labels[0].strip().lower() in BACKGROUND_WORDS
    if has_background and (class_count is None or len(labels) > class_count):
        return tuple(labels[1:])
    return tuple(labels)


def parse_label_file(text: str) -> tuple[str, ...]:
    """The labels of a text file: one a line, either bare or after their number (``7  truck``, ``7: truck``).

    A numbered file may leave numbers out; they become ``???``.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    numbered = [_numbered(line) for line in lines]
    pairs = [pair for pair in numbered if pair is not None]
    if not pairs or len(pairs) != len(lines):
        return tuple(lines)
    by_number = dict(pairs)
    return tuple(by_number.get(number, "???") for number in range(max(by_number) + 1))


def _numbered(line: str) -> tuple[int, str] | None:
    head, _, rest = line.replace(":", " ", 1).partition(" ")
    return (int(head), rest.strip()) if head.isdigit() and int(head) < 10_000 and rest.strip() else None
