"""Labelled pictures: rows to boxes, and what is refused with file and line."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from device.models.training.errors import DataMissing, LabelError
from device.models.training.pictures import blind_bits, load_source, load_yolo, parse_rows, shrink
from device.models.training.recipe import Source
from device.models.training.simulated import render_source

CLASSES = ("bus", "car")
LABELS = ("car", "truck", "bus")
SOURCE = Source(name="s", kind="yolo", folder=".", classes=CLASSES)


def rows(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "a.txt"
    file.write_text(text)
    return file


def folder_with(tmp_path: Path, pixels: np.ndarray, text: str) -> Path:
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), pixels)
    (tmp_path / "labels" / "a.txt").write_text(text)
    return tmp_path


def test_rows_become_labels_by_name_and_corners(tmp_path: Path) -> None:
    classes, boxes = parse_rows(rows(tmp_path, "1 .5 .5 .2 .4\n\n0 .1 .1 .2 .2\n"), CLASSES, LABELS)
    assert classes.tolist() == [0, 2]
    np.testing.assert_allclose(boxes, [[0.4, 0.3, 0.6, 0.7], [0, 0, 0.2, 0.2]], atol=1e-6)


def test_a_class_that_the_model_does_not_know_is_left_out(tmp_path: Path) -> None:
    classes, boxes = parse_rows(rows(tmp_path, "0 .5 .5 .2 .4"), CLASSES, ("car",))
    assert classes.shape == (0,)
    assert boxes.shape == (0, 4)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("2 .5 .5 .1 .1", r"a\.txt:2: class 2 is not one of 0\.\.1"),
        ("-1 .5 .5 .1 .1", "class -1"),
        ("0.5 .5 .5 .1 .1", "class 0.5"),
        ("0 1.5 .5 .1 .1", "leaves the range"),
        ("0 nan .5 .1 .1", "leaves the range"),
        ("0 .5 .5 .1", "not five numbers"),
        ("0 .5 .5 .1 .1 .1", "not five numbers"),
        ("car .5 .5 .1 .1", "not five numbers"),
    ],
)
def test_a_label_out_of_range_is_refused_with_file_and_line(tmp_path: Path, row: str, says: str) -> None:
    with pytest.raises(LabelError, match=says):
        parse_rows(rows(tmp_path, f"0 .5 .5 .1 .1\n{row}\n"), CLASSES, LABELS)


def test_a_missing_data_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match=r"nowhere.*--data"):
        load_yolo(tmp_path / "nowhere", SOURCE, LABELS)


def test_an_empty_data_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    with pytest.raises(DataMissing, match="holds no picture"):
        load_yolo(tmp_path, SOURCE, LABELS)


def test_a_broken_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(DataMissing, match=r"torn\.jpg.*cannot be decoded"):
        load_yolo(tmp_path, SOURCE, LABELS)


def test_a_picture_is_read_as_rgb_and_without_a_label_file_it_is_empty(tmp_path: Path) -> None:
    blue_in_bgr = np.zeros((40, 60, 3), np.uint8)
    blue_in_bgr[..., 0] = 255
    folder = folder_with(tmp_path, blue_in_bgr, "1 .5 .5 .2 .2")
    cv2.imwrite(str(folder / "images" / "b.png"), blue_in_bgr)
    picture, without = load_yolo(folder, SOURCE, LABELS)
    assert picture.pixels[0, 0].tolist() == [0, 0, 255]
    assert len(picture.boxes) == 1
    assert without.boxes.shape == (0, 4)


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_a_folder_whose_label_files_are_all_empty_is_refused(tmp_path: Path, text: str) -> None:
    folder = folder_with(tmp_path, np.zeros((40, 60, 3), np.uint8), text)
    with pytest.raises(DataMissing, match="holds no box of car, truck, bus: every label file"):
        load_yolo(folder, SOURCE, LABELS)


def test_a_class_map_may_call_two_numbers_the_same_and_drop_a_third(tmp_path: Path) -> None:
    file = rows(tmp_path, "0 .5 .5 .2 .2\n1 .5 .5 .2 .2\n2 .5 .5 .2 .2")
    classes, _ = parse_rows(file, ("car", "dog", "car"), LABELS)
    assert classes.tolist() == [0, 0]


def test_a_large_picture_is_kept_with_a_long_side_of_320() -> None:
    assert shrink(np.zeros((480, 640, 3), np.uint8)).shape == (240, 320, 3)
    assert shrink(np.zeros((20, 30, 3), np.uint8)).shape == (20, 30, 3)


def test_simulated_pictures_are_the_same_each_time_and_carry_the_truth() -> None:
    source = Source(
        name="s",
        kind="simulated",
        seeds=(1000, 1002),
        frames_per_seed=2,
        frame_every_s=13.0,
        frame_width=320,
        frame_height=240,
    )
    labels = ("person", "motorcycle", "car", "bus", "truck")
    first, again = (render_source(source, labels) for _ in range(2))
    assert len(first) == 4
    assert sum(len(picture.boxes) for picture in first) > 0
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)
        np.testing.assert_array_equal(one.boxes, other.boxes)
    assert all(((p.boxes >= 0) & (p.boxes <= 1)).all() for p in first)


def test_a_split_by_every_nth_name_parts_a_folder_into_two_that_share_nothing() -> None:
    files = [Path(f"{number:03}.webp") for number in range(25)]
    used, held_back = (
        Source(name="s", kind="yolo", folder=".", classes=CLASSES, **part).part_of(files)
        for part in ({"leave_out": 10}, {"only": 10})
    )
    assert [file.stem for file in held_back] == ["000", "010", "020"]
    assert sorted(used + held_back) == files
    assert not set(used) & set(held_back)


def test_what_a_source_did_not_label_is_marked_on_its_pictures(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, np.zeros((40, 60, 3), np.uint8), "0 .5 .5 .2 .2")
    source = Source(name="s", kind="yolo", folder=folder.name, classes=CLASSES)
    (picture,) = load_source(source, folder.parent, LABELS)
    assert picture.blind.tolist() == [[0b010]]
    assert blind_bits(LABELS, LABELS) == 0
