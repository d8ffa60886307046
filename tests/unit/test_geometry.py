"""Plane geometry, against properties that hold for every figure."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.firmware.geometry import (
    Polygon,
    bottom_centres,
    group_areas,
    least_shift,
    line_fault,
    overlaps,
    polygon_fault,
    segments_cross,
    signed_distances,
)

SQUARE = np.array([[0.2, 0.2], [0.8, 0.2], [0.8, 0.8], [0.2, 0.8]])
unit = st.floats(0.0, 1.0, allow_nan=False)
point = st.tuples(unit, unit)


@given(st.lists(point, min_size=1, max_size=20))
def test_a_point_is_inside_a_square_exactly_when_it_is_between_its_sides(points):
    array = np.array(points)
    on_edge = np.isclose(array, 0.2).any(axis=1) | np.isclose(array, 0.8).any(axis=1)
    expected = ((array > 0.2) & (array < 0.8)).all(axis=1)
    assert (Polygon(SQUARE).holds(array) == expected)[~on_edge].all()


def test_a_notch_of_a_concave_zone_is_outside():
    arrow = np.array([[0.0, 0.0], [0.5, 0.5], [1.0, 0.0], [0.5, 1.0]])
    inside = Polygon(arrow).holds(np.array([[0.5, 0.2], [0.5, 0.7]]))
    assert inside.tolist() == [False, True]


@given(st.lists(point, min_size=1, max_size=20))
def test_areas_with_different_numbers_of_corners_are_asked_together_as_each_by_itself(points):
    areas = [
        Polygon(np.array(corners))
        for corners in (
            [[0.1, 0.1], [0.9, 0.2], [0.4, 0.8]],
            SQUARE,
            [[0.0, 0.0], [0.5, 0.5], [1.0, 0.0], [0.8, 0.9], [0.5, 1.0], [0.1, 0.9], [0.2, 0.5]],
        )
    ]
    array = np.array(points)
    alone = [area.holds(array).tolist() for area in areas]
    group_areas(areas)
    assert areas[1].group.areas == tuple(areas)
    assert areas[1].group.hold(array).tolist() == alone


@given(point, point, point)
def test_turning_a_line_round_turns_the_sign_of_every_distance(p, a, b):
    start, end = np.array(a), np.array(b)
    if np.hypot(*(end - start)) < 1e-3:
        return
    forward = signed_distances(np.array([p]), start, end)
    assert np.allclose(forward, -signed_distances(np.array([p]), end, start), atol=1e-9)


@given(point, point, point, point)
def test_crossing_does_not_depend_on_the_order_of_the_segments(a, b, c, d):
    points = [np.array(p) for p in (a, b, c, d)]
    assert segments_cross(*points) == segments_cross(*points[2:], *points[:2])


def test_a_segment_that_ends_before_the_line_does_not_cross_it():
    left, right = np.array([0.5, 0.0]), np.array([0.5, 0.4])
    assert not segments_cross(np.array([0.2, 0.5]), np.array([0.8, 0.5]), left, right)
    assert segments_cross(np.array([0.2, 0.3]), np.array([0.8, 0.3]), left, right)


@given(st.lists(st.tuples(unit, unit, unit, unit), min_size=1, max_size=8))
def test_an_overlap_is_between_0_and_1_and_symmetric(raw):
    corners = np.sort(np.array(raw, np.float32).reshape(-1, 2, 2), axis=1).reshape(-1, 4)
    overlap = overlaps(corners, corners)
    assert ((overlap >= 0) & (overlap <= 1 + 1e-6)).all()
    assert np.allclose(overlap, overlap.T, atol=1e-6)


def test_an_object_stands_at_the_bottom_centre_of_its_box():
    assert bottom_centres(np.array([[0.2, 0.1, 0.4, 0.9]], np.float32)).round(6).tolist() == [[0.3, 0.9]]


def test_faults_of_zones_and_lines_are_said_in_words():
    assert "crosses edge" in polygon_fault([(0, 0), (1, 1), (1, 0), (0, 1)])
    assert "no area" in polygon_fault([(0, 0), (0.5, 0.0), (0.5, 1e-6)])
    assert "leave it out" in polygon_fault([(0.1, 0.1), (0.9, 0.1), (0.5, 0.9), (0.1, 0.1)])
    assert polygon_fault([(0.5, 0.5), (0.53, 0.5), (0.53, 0.53), (0.5, 0.53)]) == "", "a far door is a zone"
    assert "at least 3" in polygon_fault([(0, 0), (1, 1)])
    assert polygon_fault([(0.1, 0.1), (0.9, 0.1), (0.5, 0.9)]) == ""
    assert "same point" in line_fault([(0.5, 0.5), (0.5, 0.5)])
    assert line_fault([(0.1, 0.5), (0.9, 0.5)]) == ""


def test_a_box_that_loses_one_side_has_not_moved_and_one_that_moves_has():
    assert least_shift((0.4, 0.6), (0.5, 0.6)) == 0.0
    assert least_shift((0.4, 0.6), (0.4, 0.5)) == 0.0
    assert least_shift((0.4, 0.6), (0.5, 0.7)) == pytest.approx(0.1)
    assert least_shift((0.4, 0.6), (0.3, 0.7)) == pytest.approx(0.0)


def test_a_side_that_the_edge_cuts_off_says_nothing_of_whether_a_box_has_moved():
    assert least_shift((0.0, 0.2), (0.0, 0.4)) == pytest.approx(0.1)
    assert least_shift((0.8, 1.0), (0.6, 1.0)) == pytest.approx(0.1)
