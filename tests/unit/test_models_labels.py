from __future__ import annotations

import pytest

from device.models.labels import (
    CLASSES,
    COCO_80,
    COCO_90,
    COCO_TO_OURS,
    NOT_OURS,
    class_of,
    classes_of,
    parse_label_file,
    without_background,
)


def test_coco_has_eighty_classes_and_ids_up_to_ninety() -> None:
    assert len(COCO_80) == len(set(COCO_80)) == 80
    assert len(COCO_90) == 90
    assert COCO_90.count("???") == 10


@pytest.mark.parametrize(
    ("category_id", "name"), [(1, "person"), (13, "stop sign"), (44, "bottle"), (90, "toothbrush")]
)
def test_coco_ids_are_those_of_the_annotations(category_id: int, name: str) -> None:
    assert COCO_90[category_id - 1] == name


def test_coco_numbers_map_to_our_six() -> None:
    assert {COCO_80[number]: CLASSES[ours] for number, ours in COCO_TO_OURS.items()} == {
        n: n for n in CLASSES
    }
    assert COCO_TO_OURS == {0: 0, 1: 1, 2: 3, 3: 2, 5: 4, 7: 5}


def test_other_words_for_the_same_things_are_understood() -> None:
    assert [class_of(word) for word in ("Pedestrian", "motorbike", " car ", "giraffe")] == [0, 2, 3, NOT_OURS]
    assert classes_of(["truck", "dog"]).tolist() == [5, NOT_OURS]


def test_a_numbered_label_file_may_leave_numbers_out() -> None:
    assert parse_label_file("0  person\n2: car\n\n") == ("person", "???", "car")


def test_a_plain_label_file_keeps_its_order_and_its_words() -> None:
    assert parse_label_file("traffic light\nstop sign\r\n3d printer\n") == (
        "traffic light",
        "stop sign",
        "3d printer",
    )


def test_a_leading_background_is_dropped_only_where_it_is_one_too_many() -> None:
    assert without_background(["???", "person", "bicycle"], 2) == ("person", "bicycle")
    assert without_background(["???", "person", "bicycle"], None) == ("person", "bicycle")
    assert without_background(["background", "person"], 2) == ("background", "person")
