from __future__ import annotations

from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from device.errors import ConfigError
from device.models.bundle import load_bundle
from device.models.detector import Detector
from device.models.evaluation import (
    NamesMissing,
    evaluate,
    evaluate_together,
    load_dataset,
    load_guessed,
)
from device.models.evaluation.drawings import draw, prepare, worst
from device.models.evaluation.run import compared
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


def test_names_that_nothing_tells_are_guessed_where_the_model_sees_what_they_are(tmp_path: Path) -> None:
    folder = dataset_in(tmp_path, [MIDDLE] * 6 + ["0 0.1 0.1 0.1 0.1\n"], yaml=None)
    detector = detector_in(tmp_path)
    data = load_guessed(detector.bundle, folder)
    assert (data.labels, data.is_guessed) == (("???", "person"), True)
    assert "guessed" in data.remarks[0]
    assert "0 ???, 1 person" in data.remarks[0]
    assert evaluate(detector, data).guessed_labels == ["???", "person"]


@pytest.mark.parametrize(
    "rows",
    [
        [MIDDLE] * 6 + [MIDDLE.replace("1", "0", 1)] * 6,
        [MIDDLE] * 6 + ["0 0.1 0.1 0.1 0.1\n"] * 60,
        [MIDDLE] * 4,
        [],
    ],
    ids=["two numbers, one class", "a frequent number nobody sees", "too few to tell", "no picture"],
)
def test_names_are_not_guessed_where_it_is_not_plain(tmp_path: Path, rows: list[str]) -> None:
    folder = dataset_in(tmp_path, rows, yaml=None)
    with pytest.raises(ConfigError if not rows else NamesMissing):
        load_guessed(detector_in(tmp_path).bundle, folder)


def test_names_that_the_dataset_tells_are_never_guessed(tmp_path: Path) -> None:
    data = load_dataset(dataset_in(tmp_path, [MIDDLE]))
    assert not data.is_guessed
    assert evaluate(detector_in(tmp_path), data).guessed_labels == []


@pytest.mark.parametrize("missing", ["images", "labels"])
def test_a_folder_that_is_no_dataset_is_refused(tmp_path: Path, missing: str) -> None:
    folder = dataset_in(tmp_path, [])
    (folder / missing).rmdir()
    with pytest.raises(ConfigError, match=f"no folder {missing}/"):
        load_dataset(folder, ("person",))


def test_precision_and_recall_count_at_the_cards_threshold(tmp_path: Path) -> None:
    data = load_dataset(dataset_in(tmp_path, [MIDDLE, MIDDLE, CORNER]))
    report = evaluate(detector_in(tmp_path), data)
    assert report.conf == 0.25
    assert (report.precision, report.recall) == (pytest.approx(2 / 3, abs=1e-4),) * 2
    assert report.per_class["person"].recall == pytest.approx(2 / 3, abs=1e-4)


def test_recall_by_size_counts_every_box_once_in_pixels_of_the_input(tmp_path: Path) -> None:
    data = load_dataset(dataset_in(tmp_path, [MIDDLE, CORNER]))
    report = evaluate(detector_in(tmp_path), data)
    by_side = {row.side_from_px: (row.boxes, row.found) for row in report.recall_by_size}
    assert by_side == {0: (1, 0), 16: (0, 0), 32: (1, 1), 96: (0, 0)}


def test_confusion_tells_what_was_taken_for_what_and_what_was_missed(tmp_path: Path) -> None:
    folder = dataset_in(tmp_path, ["0 0.5 0.5 0.5 0.5\n", MIDDLE, CORNER], yaml="names: [bicycle, person]\n")
    confusion = evaluate(detector_in(tmp_path), load_dataset(folder)).confusion
    assert confusion.truth == ["person", "bicycle", "background"]
    assert confusion.predicted == ["person", "bicycle", "missed"]
    assert confusion.counts == [[1, 0, 1], [1, 0, 0], [1, 0, 0]]


def test_two_models_are_scored_over_what_both_know_and_their_times_compared(tmp_path: Path) -> None:
    first = detector_in(tmp_path)
    second = Detector(load_bundle(tmp_path / "bare.tflite", labels=("truck", "person")))
    folder = dataset_in(tmp_path, [MIDDLE, "2 0.2 0.2 0.1 0.1\n"])
    found = evaluate_together([first, second], load_dataset(folder))
    report = compared(found[0].report, [found[1].report], None)
    assert report.classes == ["person"]
    assert (report.map50, report.against[0].map50) == (1.0, 0.0)
    assert report.against[0].invoke_ratio > 0
    assert set(report.against[0].per_class) == {"person", "truck"}


def test_a_limit_takes_pictures_evenly_from_first_to_last(tmp_path: Path) -> None:
    data = load_dataset(dataset_in(tmp_path, [MIDDLE] * 9), limit=3)
    assert [one.path.stem for one in data.pictures] == ["0", "3", "6"]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: [file.write_text("") for file in folder.glob("labels/*")], None),
        (
            lambda folder: [file.unlink() for file in folder.glob("labels/*")],
            "WARNING: no label file was found",
        ),
        (
            lambda folder: (folder / "labels" / "stray.txt").write_text(MIDDLE),
            "1 label files have no picture",
        ),
        (lambda folder: (folder / "labels" / "0.txt").unlink(), "1 of 2 pictures have no label file"),
    ],
    ids=["empty label files", "no label files", "a stray label file", "a missing label file"],
)
def test_what_is_odd_about_a_dataset_is_remarked_and_it_is_read_all_the_same(
    tmp_path: Path, spoil, said
) -> None:
    folder = dataset_in(tmp_path, [MIDDLE, CORNER])
    (folder / "images" / "1.png").write_bytes(cv2.imencode(".png", np.ones((64, 64, 3), np.uint8))[1])
    spoil(folder)
    data = load_dataset(folder)
    assert len(data.pictures) == 2
    assert [said in remark for remark in data.remarks] == ([True] if said else [])


def test_a_picture_that_is_there_twice_is_remarked(tmp_path: Path) -> None:
    (remark,) = load_dataset(dataset_in(tmp_path, [MIDDLE, MIDDLE])).remarks
    assert "byte for byte the same" in remark


def test_classes_that_contradict_the_data_yaml_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--classes: says person, bus, but .* says bus, person, truck"):
        load_dataset(dataset_in(tmp_path, [MIDDLE]), ("person", "bus"))


def test_a_data_yaml_leads_to_its_splits(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        (tmp_path / split).mkdir()
        dataset_in(tmp_path / split, [MIDDLE] * (1 if split == "valid" else 2), yaml=None)
    yaml = tmp_path / "data.yaml"
    yaml.write_text("names: [bus, person]\ntrain: ../train/images\nval: ../valid/images\n")
    assert len(load_dataset(yaml).pictures) == 1
    assert len(load_dataset(tmp_path, split="train").pictures) == 2
    with pytest.raises(ConfigError, match="names no such pictures"):
        load_dataset(yaml, split="test")


def test_the_worst_errors_are_large_misses_and_sure_false_alarms(tmp_path: Path) -> None:
    folder = dataset_in(tmp_path, [MIDDLE, CORNER, "1 0.3 0.3 0.6 0.6\n", MIDDLE])
    (evaluation,) = evaluate_together([detector_in(tmp_path)], load_dataset(folder))
    assert [one.seen.labelled.path.stem for one in worst(evaluation.matched)] == ["2", "1"]


def test_drawings_that_cannot_be_written_are_a_sentence(tmp_path: Path) -> None:
    folder = dataset_in(tmp_path, [MIDDLE])
    (evaluation,) = evaluate_together([detector_in(tmp_path)], load_dataset(folder))
    for act in (prepare, partial(draw, evaluation)):
        with pytest.raises(ConfigError, match="cannot be written"):
            act(folder / "data.yaml" / "looks")
