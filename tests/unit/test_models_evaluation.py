from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from device.errors import ConfigError
from device.models.bundle import load_bundle
from device.models.detector import Detector
from device.models.evaluation import evaluate, load_dataset
from tests.tiny_tflite import Constant, tiny_tflite


def dataset_in(folder: Path, rows: list[str], yaml: str | None = "names: [bus, person, truck]\n") -> Path:
    for part in ("images", "labels"):
        (folder / part).mkdir()
    for number, row in enumerate(rows):
        cv2.imwrite(str(folder / "images" / f"{number}.png"), np.zeros((64, 64, 3), np.uint8))
        (folder / "labels" / f"{number}.txt").write_text(row)
    if yaml is not None:
        (folder / "data.yaml").write_text(yaml)
    return folder


def detector_in(folder: Path) -> Detector:
    """Always says: one person in the middle."""
    real = np.zeros((1, 6, 84), np.uint8)
    real[0, :5, 3] = [100, 100, 100, 100, 180]
    file = folder / "bare.tflite"
    file.write_bytes(tiny_tflite([Constant("out", real, 1 / 200)], size=64))
    return Detector(load_bundle(file, labels=("person", "bicycle")))


MIDDLE = "1 0.5 0.5 0.5 0.5\n"
CORNER = "1 0.9 0.9 0.1 0.1\n"


def test_average_precision_is_what_coco_says(tmp_path: Path) -> None:
    data = load_dataset(dataset_in(tmp_path, [MIDDLE, MIDDLE]))
    report = evaluate(detector_in(tmp_path), data)
    assert (report.map50, report.map50_95, report.images) == (1.0, 1.0, 2)
    assert report.size_bytes > 0
    assert report.invoke_ms_p50 > 0


def test_a_box_elsewhere_counts_against_it(tmp_path: Path) -> None:
    data = load_dataset(dataset_in(tmp_path, [MIDDLE, CORNER]))
    assert evaluate(detector_in(tmp_path), data).map50 == pytest.approx(51 / 101, abs=1e-4)


def test_only_classes_that_both_know_are_averaged(tmp_path: Path) -> None:
    data = load_dataset(dataset_in(tmp_path, [MIDDLE + "0 0.2 0.2 0.1 0.1\n"]))
    report = evaluate(detector_in(tmp_path), data)
    assert (report.classes, report.map50) == (["person"], 1.0)


def test_a_picture_that_cannot_be_read_is_counted(tmp_path: Path) -> None:
    folder = dataset_in(tmp_path, [MIDDLE, MIDDLE])
    (folder / "images" / "0.png").write_bytes(b"")
    report = evaluate(detector_in(tmp_path), load_dataset(folder))
    assert (report.images, report.skipped) == (1, 1)


def test_no_class_in_common_is_said(tmp_path: Path) -> None:
    data = load_dataset(dataset_in(tmp_path, [MIDDLE], yaml="names: {0: cat, 1: dog}\n"))
    with pytest.raises(ConfigError, match="none of cat, dog"):
        evaluate(detector_in(tmp_path), data)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("7 0.5 0.5 0.1 0.1", r"0.txt:1: class 7"),
        ("1 0.5 0.5", "a number is missing"),
        ("a b", "is not `class"),
    ],
)
def test_a_wrong_label_row_is_named_with_its_line(tmp_path: Path, row: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_dataset(dataset_in(tmp_path, [row]))


def test_a_dataset_without_names_asks_for_them(tmp_path: Path) -> None:
    folder = dataset_in(tmp_path, [MIDDLE], yaml=None)
    with pytest.raises(ConfigError, match="--classes"):
        load_dataset(folder)
    assert load_dataset(folder, ("bus", "person")).labels == ("bus", "person")


@pytest.mark.parametrize("missing", ["images", "labels"])
def test_a_folder_that_is_no_dataset_is_refused(tmp_path: Path, missing: str) -> None:
    folder = dataset_in(tmp_path, [])
    (folder / missing).rmdir()
    with pytest.raises(ConfigError, match=f"no folder {missing}/"):
        load_dataset(folder, ("person",))
