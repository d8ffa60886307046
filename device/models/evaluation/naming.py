"""What the class numbers of a dataset mean that does not say so: worked out from what a model sees there.

A guess, and always told as one. It is made only where it is plain: each number must coincide with one class
of the model, and no two numbers with the same. Never used for training.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from device.models.bundle import Bundle
from device.models.detector import Detector
from device.models.evaluation.dataset import ANY_NUMBER, Dataset, NamesMissing, load_dataset
from device.models.evaluation.matching import MATCH_IOU
from device.models.labels import CLASSES
from device.models.nms import overlaps
from hardware.camera.frame import Frame
from hardware.camera.stills import UnreadablePhoto, read_photo

SAMPLE = 300
"""Pictures that are looked at, evenly spread."""

FEWEST_FOUND = 5
"""A number of which the model found fewer boxes in the sample stays without a name."""

OFTEN = 50
"""A number with so many boxes may not stay without a name."""

AGREEMENT = 0.6
"""Share of the boxes found of a number that must be of one class."""

UNNAMED = "???"


def load_guessed(bundle: Bundle, place: Path, *, split: str = "valid", limit: int | None = None) -> Dataset:
    """Read a dataset whose class numbers are named by what a model sees in their boxes.

    Args:
        bundle: A model that knows the dataset's classes.
        place: The dataset; see :func:`load_dataset`, also for the other two.
        split: Which pictures of a `data.yaml`.
        limit: About so many pictures in place of all.

    Returns:
        The dataset, with `is_guessed` and a remark that tells the names.

    Raises:
        NamesMissing: A number that occurs often has no class of its own.
        ConfigError: The dataset cannot be read.
    """
    labels = _names(_votes(bundle, place, split), place)
    meaning = ", ".join(f"{number} {name}" for number, name in enumerate(labels))
    told = (
        f"WARNING: nothing names the classes of {place}: guessed from what {bundle.card.name} sees there: "
        f"{meaning}; if that is wrong, name them with --classes"
    )
    data = load_dataset(place, labels, split=split, limit=limit)
    return replace(data, remarks=(told, *data.remarks), is_guessed=True)


def _names(votes: npt.NDArray[np.int64], place: Path) -> tuple[str, ...]:
    """Names by number, :data:`UNNAMED` for those that hardly occur."""
    named: dict[int, str] = {}
    numbers = np.flatnonzero(votes.any(axis=1)).tolist()
    for number in numbers:
        found = votes[number, :-1]
        if found.sum() < FEWEST_FOUND:
            if votes[number].sum() >= OFTEN:
                raise NamesMissing(place)
            continue
        name = CLASSES[int(found.argmax())]
        if found.max() < AGREEMENT * found.sum() or name in named.values():
            raise NamesMissing(place)
        named[number] = name
    if not named:
        raise NamesMissing(place)
    return tuple(named.get(number, UNNAMED) for number in range(max(numbers) + 1))


def _votes(bundle: Bundle, place: Path, split: str) -> npt.NDArray[np.int64]:
    """(ANY_NUMBER, classes + 1): boxes of each number by the class that was seen there, or, last, nothing."""
    detector = Detector(bundle)
    votes = np.zeros((ANY_NUMBER, len(CLASSES) + 1), np.int64)
    for labelled in load_dataset(place, split=split, limit=SAMPLE, as_numbers=True).pictures:
        try:
            pixels = read_photo(labelled.path)
        except UnreadablePhoto:
            continue
        height, width = pixels.shape[:2]
        seen = detector.detect(Frame(pixels, "rgb", width, height, 0.0, 0.0, 0))
        ious = overlaps(labelled.boxes[:, None].astype(np.float32), seen.boxes[None])
        ious[ious < MATCH_IOU] = 0
        with_nothing = np.concatenate([ious, np.full((len(ious), 1), 1e-6)], axis=1)
        classes = np.append(seen.classes, len(CLASSES))
        np.add.at(votes, (labelled.classes, classes[with_nothing.argmax(axis=1)]), 1)
    return votes
