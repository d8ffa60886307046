from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.models.nms import nms, overlaps

Row = tuple[tuple[int, int, int, int], int, int]


def plain_iou(one: list[float], other: list[float]) -> float:
    across = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    down = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    both = across * down
    either = (one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1]) - both
    return both / either if either > 0 else 0.0


def plain_nms(
    boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, iou: float, limit: int
) -> list[int]:
    """Class by class, box by box, as a textbook writes it."""
    kept: list[int] = []
    for number in set(classes.tolist()):
        rest = sorted((i for i in range(len(scores)) if classes[i] == number), key=lambda i: (-scores[i], i))
        while rest:
            first = rest.pop(0)
            kept.append(first)
            rest = [i for i in rest if plain_iou(boxes[first].tolist(), boxes[i].tolist()) <= iou]
    return sorted(kept, key=lambda i: (-scores[i], i))[:limit]


def arrays(rows: list[Row]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    boxes = np.array([[x, y, x + w, y + h] for (x, y, w, h), _, _ in rows], np.float32).reshape(-1, 4)
    scores = np.array([score / 16 for _, score, _ in rows], np.float32)
    return boxes, scores, np.array([number for _, _, number in rows], np.int64)


ROWS = st.lists(
    st.tuples(
        st.tuples(st.integers(-20, 20), st.integers(-20, 20), st.integers(0, 12), st.integers(0, 12)),
        st.integers(-16, 16),
        st.integers(0, 2),
    ),
    max_size=40,
)


@given(ROWS, st.sampled_from([0.1037, 0.4537, 0.6037, 0.9037]))
def test_the_same_boxes_stay_as_in_a_plain_reference(rows: list[Row], iou: float) -> None:
    boxes, scores, classes = arrays(rows)
    assert nms(boxes, scores, classes, iou).tolist() == plain_nms(boxes, scores, classes, iou, 300)


@pytest.mark.parametrize("count", [255, 256, 257, 2000])
def test_many_boxes_are_suppressed_as_few_are(count: int) -> None:
    random = np.random.default_rng(count)
    corners = random.integers(0, 60, (count, 2))
    boxes = np.concatenate([corners, corners + random.integers(1, 30, (count, 2))], axis=1).astype(np.float32)
    scores = random.random(count).astype(np.float32)
    classes = random.integers(0, 6, count)
    assert nms(boxes, scores, classes, 0.5037).tolist() == plain_nms(boxes, scores, classes, 0.5037, 300)


def test_at_most_the_limit_stays_and_it_is_the_surest() -> None:
    boxes = np.array([[10 * i, 0, 10 * i + 5, 5] for i in range(500)], np.float32)
    scores = np.linspace(0, 1, 500, dtype=np.float32)
    assert nms(boxes, scores, np.zeros(500, np.int64), 0.5).tolist() == list(range(499, 199, -1))


def test_boxes_of_two_classes_at_one_place_both_stay() -> None:
    boxes = np.array([[0, 0, 1, 1], [0, 0, 1, 1]], np.float32)
    assert nms(boxes, np.array([0.5, 0.9], np.float32), np.array([3, 5]), 0.5).tolist() == [1, 0]


def test_boxes_without_an_area_hide_nothing_and_nothing_hides_them() -> None:
    boxes = np.array([[1, 1, 1, 3], [5, 5, 5, 5], [5, 5, 5, 5], [2, 2, 9, 9]], np.float32)
    scores = np.array([0.5, 0.9, 0.4, 0.2], np.float32)
    assert nms(boxes, scores, np.zeros(4, np.int64), 0.5).tolist() == [1, 0, 2, 3]


def test_boxes_beyond_the_left_of_the_picture_hide_none_of_another_class() -> None:
    boxes = np.array([[200, 200, 300, 300], [-90, -90, 10, 10]], np.float32)
    assert nms(boxes, np.array([0.9, 0.5], np.float32), np.array([0, 1]), 0.5).tolist() == [0, 1]


def test_no_boxes_give_no_boxes() -> None:
    empty = np.empty((0, 4), np.float32)
    assert nms(empty, np.empty(0, np.float32), np.empty(0, np.int64), 0.5).tolist() == []


def test_empty_boxes_overlap_nothing() -> None:
    point = np.array([1, 1, 1, 1], np.float32)
    assert overlaps(point, point[None]).tolist() == [0.0]
