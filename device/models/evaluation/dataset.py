"""Pictures that people have labelled, in YOLO's form: where they lie, their classes, their boxes.

Reads label files and the names of pictures, never the pictures themselves (but for the bytes of those of one
size, to find duplicates). Never guesses what a class number means (`naming` does) and never writes.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from device.errors import ConfigError
from device.models.labels import CLASSES, NOT_OURS, class_of, classes_of, parse_label_file
from hardware.camera.stills import SUFFIXES

NAMES_FILES = ("data.yaml", "dataset.yaml", "classes.txt", "labels.txt")
"""Files that name a dataset's classes, looked for in its folder and the one above, in this order."""

ANY_NUMBER = 1000
"""Where only numbers are asked for, those below this are taken."""

_SPLIT_KEYS = {"valid": ("val", "valid"), "val": ("val", "valid"), "train": ("train",), "test": ("test",)}
_YAML = (".yaml", ".yml")
_BEYOND = 0.01
"""How far a number may lie outside 0..1, as rounding leaves it."""


class NamesMissing(ConfigError):
    """Nothing tells what a dataset's class numbers mean."""

    def __init__(self, place: Path) -> None:
        files = " or ".join(NAMES_FILES[::2])
        super().__init__(
            place,
            None,
            "",
            "nothing names its classes: name them, in order, with --classes bus,car,... or put a "
            f"{files} into the folder",
        )


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
        folder: What was asked for: a folder, or a `data.yaml`.
        labels: The dataset's own classes, by number.
        pictures: Sorted by name.
        remarks: What a person should know before trusting a score on it, one sentence each.
        is_guessed: `labels` were worked out from what a model sees, so that its scores may be flattered.
    """

    folder: Path
    labels: tuple[str, ...]
    pictures: tuple[Labelled, ...]
    remarks: tuple[str, ...] = ()
    is_guessed: bool = False


def load_dataset(
    place: Path,
    labels: Sequence[str] = (),
    *,
    split: str = "valid",
    limit: int | None = None,
    as_numbers: bool = False,
) -> Dataset:
    """Read a dataset of YOLO's form.

    Args:
        place: A folder with `images` and `labels`, a `data.yaml`, or a folder that holds one.
        labels: Its classes in the order of their numbers; else a file of :data:`NAMES_FILES` tells them.
        split: Which pictures of a `data.yaml`: train, valid or test.
        limit: About so many pictures, every n-th, in place of all.
        as_numbers: Name no class; the pictures' classes are the dataset's own numbers, below ANY_NUMBER.

    Raises:
        NamesMissing: Nothing tells what the class numbers mean.
        ConfigError: A folder, the pictures or the classes are missing, a row of a label file is wrong, or
            `labels` and the dataset's own file contradict each other.
    """
    folders = _folders(place, split)
    names = () if as_numbers else _names(place, labels, folders)
    pictures = [
        (path, labels_folder / f"{path.stem}.txt")
        for images, labels_folder in folders
        for path in sorted(images.iterdir())
        if path.suffix.lower() in SUFFIXES
    ]
    if not pictures:
        raise ConfigError(folders[0][0], None, "", f"holds no picture ({', '.join(sorted(SUFFIXES))})")
    said = _remarks(pictures, [folder for _, folder in folders])
    if limit is not None and limit < len(pictures):
        said = (
            *said,
            f"--limit: {limit} of {len(pictures)} pictures, evenly spread; the others are left out",
        )
        pictures = [pictures[number * len(pictures) // limit] for number in range(limit)]
    ours = np.arange(ANY_NUMBER) if as_numbers else classes_of(names)
    return Dataset(place, names, tuple(_labelled(path, file, ours) for path, file in pictures), said)


def _folders(place: Path, split: str) -> list[tuple[Path, Path]]:
    """Folders of pictures, each with that of its labels."""
    if place.is_file() and place.suffix.lower() in _YAML:
        return _folders_of_yaml(place, split)
    beside = place / "data.yaml"
    if not (place / "images").is_dir() and beside.is_file() and _entries(beside, split):
        return _folders_of_yaml(beside, split)
    for part in ("images", "labels"):
        if not (place / part).is_dir():
            raise ConfigError(
                place,
                None,
                "",
                f"there is no folder {part}/: give a dataset of YOLO's form, or its data.yaml",
            )
    return [(place / "images", place / "labels")]


class _DataYaml(msgspec.Struct):
    names: list[str] | dict[int, str] | None = None
    path: str = ""
    train: str | list[str] | None = None
    val: str | list[str] | None = None
    valid: str | list[str] | None = None
    test: str | list[str] | None = None


def _read_yaml(file: Path) -> _DataYaml:
    try:
        return msgspec.yaml.decode(file.read_bytes(), type=_DataYaml, strict=False)
    except ImportError as error:
        raise ConfigError(
            file, None, "", "reading it needs PyYAML: give --classes and the folder instead"
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(file, None, "", f"is not a data.yaml of YOLO's form ({error})") from error


def _entries(file: Path, split: str) -> list[str]:
    """The folders of pictures that a `data.yaml` names for a split."""
    if split not in _SPLIT_KEYS:
        raise ConfigError(None, None, "--split", f"is {split}, and can be train, valid or test")
    content = _read_yaml(file)
    named = [entry for key in _SPLIT_KEYS[split] if (entry := getattr(content, key))]
    return [] if not named else [named[0]] if isinstance(named[0], str) else list(named[0])


def _folders_of_yaml(file: Path, split: str) -> list[tuple[Path, Path]]:
    entries = _entries(file, split)
    if not entries:
        raise ConfigError(file, None, split, "the file names no such pictures: choose another --split")
    return [_pictures_of(file, _read_yaml(file).path, entry) for entry in entries]


def _pictures_of(file: Path, root: str, entry: str) -> tuple[Path, Path]:
    """A folder that a `data.yaml` names, and its labels'.

    Roboflow writes `../valid/images` though it lies beside the file; Ultralytics swaps the last `images` of a
    path for `labels`.
    """
    here = file.parent
    tried = (here / root / entry, here / entry, here / entry.removeprefix("../"))
    found = next((folder for folder in tried if folder.is_dir()), None)
    if found is None:
        raise ConfigError(file, None, "", f"the folder {entry} is not there: correct its path in the file")
    images = found / "images" if (found / "images").is_dir() else found
    parts = list(images.parts)
    if "images" in parts:
        parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    labels = Path(*parts)
    if not labels.is_dir():
        raise ConfigError(labels, None, "", f"there is no such folder: the labels of {images} belong there")
    return images, labels


def _names(place: Path, given: Sequence[str], folders: list[tuple[Path, Path]]) -> tuple[str, ...]:
    """The class names as given, or as a file of the dataset tells them; both must agree."""
    near = [place.parent] if place.is_file() else [place, place.resolve().parent]
    files = [folder / name for folder in near for name in NAMES_FILES]
    files = [place] if place.is_file() else [*files, folders[0][1] / "classes.txt"]
    file = next((file for file in files if file.is_file()), None)
    if given:
        if file is not None and file.suffix in _YAML:
            _check_agreement(tuple(given), _names_in(file), file)
        return tuple(given)
    if file is None:
        raise NamesMissing(place)
    return _names_in(file)


def _names_in(file: Path) -> tuple[str, ...]:
    if file.suffix not in _YAML:
        names: list[str] | dict[int, str] | None = list(
            parse_label_file(file.read_text(encoding="utf-8-sig", errors="replace"))
        )
    else:
        names = _read_yaml(file).names
    if not names:
        raise ConfigError(file, None, "names", "is missing: it must be a list or a map of class names")
    if isinstance(names, list):
        return tuple(names)
    return tuple(names.get(number, "???") for number in range(max(names) + 1))


def _check_agreement(given: tuple[str, ...], told: tuple[str, ...], file: Path) -> None:
    if [_meaning(name) for name in given] != [_meaning(name) for name in told]:
        raise ConfigError(
            None,
            None,
            "--classes",
            f"says {', '.join(given)}, but {file} says {', '.join(told)}: leave --classes out or correct one",
        )


def _meaning(name: str) -> str:
    number = class_of(name)
    return name.strip().lower() if number == NOT_OURS else CLASSES[number]


def _labelled(path: Path, file: Path, ours: npt.NDArray[np.int64]) -> Labelled:
    try:
        rows = file.read_text(encoding="utf-8-sig").splitlines() if file.is_file() else []
    except UnicodeDecodeError as error:
        raise ConfigError(file, None, "", "is not a text file of labels") from error
    parsed = [_row(file, line, text, len(ours)) for line, text in enumerate(rows, start=1) if text.strip()]
    numbers = np.array([number for number, _ in parsed], np.int64)
    boxes = np.array([box for _, box in parsed], np.float64).reshape(-1, 4)
    return Labelled(path, ours[numbers], boxes)


def _row(file: Path, line: int, text: str, class_count: int) -> tuple[int, list[float]]:
    """Class number and left, top, right, bottom of a row; of a polygon, the box around it."""
    try:
        number, *values = (float(word) for word in text.split())
    except ValueError as error:
        raise ConfigError(file, line, "", "is not `class x_centre y_centre width height`") from error
    if number not in range(class_count):
        raise ConfigError(
            file, line, "", f"class {number:g} is not one of the dataset's, 0..{class_count - 1}"
        )
    if len(values) < 4:
        raise ConfigError(file, line, "", "a number is missing: `class x_centre y_centre width height`")
    is_polygon = len(values) >= 6 and len(values) % 2 == 0
    values = values if is_polygon else values[:4]
    if not all(-_BEYOND <= value <= 1 + _BEYOND for value in values):
        raise ConfigError(file, line, "", "a number lies outside 0..1: divide by the picture's size")
    if is_polygon:
        across, down = values[::2], values[1::2]
        return int(number), [min(across), min(down), max(across), max(down)]
    x, y, width, height = values
    return int(number), [x - width / 2, y - height / 2, x + width / 2, y + height / 2]


def _remarks(pictures: list[tuple[Path, Path]], label_folders: list[Path]) -> tuple[str, ...]:
    """What is odd about a dataset, in sentences."""
    said = []
    missing = sum(not file.is_file() for _, file in pictures)
    if missing == len(pictures):
        said.append(
            f"WARNING: no label file was found in {label_folders[0]}: "
            "every picture counts as one without objects"
        )
    elif missing:
        said.append(f"{missing} of {len(pictures)} pictures have no label file: taken as without objects")
    known = {file for _, file in pictures}
    strays = [
        file
        for folder in label_folders
        for file in folder.glob("*.txt")
        if file not in known and file.name not in NAMES_FILES
    ]
    if strays:
        said.append(f"{len(strays)} label files have no picture, such as {min(strays).name}: left out")
    twice = _duplicates([path for path, _ in pictures])
    if twice:
        said.append(
            f"{len(twice)} pictures are byte for byte the same as another, "
            f"such as {twice[0].name}: they count twice"
        )
    return tuple(said)


def _duplicates(paths: list[Path]) -> list[Path]:
    """Pictures whose bytes another picture before them has."""
    of_size: defaultdict[int, list[Path]] = defaultdict(list)
    for path in paths:
        if path.is_file():
            of_size[path.stat().st_size].append(path)
    seen: set[bytes] = set()
    twice = []
    for path in (path for same in of_size.values() if len(same) > 1 for path in same):
        digest = hashlib.sha256(path.read_bytes()).digest()
        if digest in seen:
            twice.append(path)
        seen.add(digest)
    return sorted(twice)
