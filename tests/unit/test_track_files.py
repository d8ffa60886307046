"""MOTChallenge files are read as they are, or refused with the line and what to do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pehra.commands.track_files import BadRow, Row, read_boxes, result_lines


def read(text):
    return read_boxes(text.splitlines())


def test_rows_come_out_by_frame_whatever_their_order_and_gaps():
    boxes = read("7,-1,10,20,30,40,0.5,-1,-1,-1\n2,-1,1,2,3,4,0.9,-1,-1,-1\n\n7,-1,5,6,7,8,0.7,-1,-1,-1\n")
    assert boxes.frames.tolist() == [2, 7, 7]
    assert boxes.boxes.tolist() == [[1, 2, 4, 6], [10, 20, 40, 60], [5, 6, 12, 14]]
    assert boxes.scores.tolist() == [0.9, 0.5, 0.7]


@pytest.mark.parametrize(
    "line",
    [
        "1,-1,10,20,30,40,0.5,-1,-1,-1",
        "1.0,-1.0,1e1,2.0e1,30.000,40,5e-1",
        " 1 , -1 , 10 , 20 , 30 , 40 , .5 ",
        "1 -1 10 20 30 40 0.5 -1 -1 -1",
        "\ufeff1,-1,10,20,30,40,0.5",
        "1,-1,10,20,30,40,0.5,-1,-1,-1\r",
    ],
)
def test_the_same_row_may_be_written_in_several_ways(line):
    boxes = read(f"# a remark\n{line}\n   \n")
    assert boxes.frames.tolist() == [1]
    assert boxes.boxes.tolist() == [[10, 20, 40, 60]]
    assert boxes.scores.tolist() == [0.5]


def test_a_confidence_beyond_0_to_1_is_kept_as_it_is():
    assert read("1,-1,1,1,5,5,87.3\n1,-1,1,1,5,5,-2.5\n").scores.tolist() == [87.3, -2.5]


def test_a_row_without_confidence_is_sure():
    assert read("1,-1,1,1,5,5\n").scores.tolist() == [1.0]


def test_a_box_without_width_or_height_is_left_out_and_counted():
    boxes = read("1,-1,1,1,0,5,1\n1,-1,1,1,5,-3,1\n1,-1,1,1,5,5,1\n")
    assert len(boxes) == 1
    assert boxes.empty == 2


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1,2,3", "3 columns, but at least 6 are needed: write frame,id,left,top,width,height,confidence"),
        ("one,-1,1,1,5,5,1", "frame is 'one', not a number: mend or delete the line"),
        ("1,-1,1,1,wide,5,1", "width is 'wide', not a number"),
        ("1,-1,1,1,5,5,high", "confidence is 'high', not a number"),
        ("0,-1,1,1,5,5,1", "frames are whole numbers from 1"),
        ("1.5,-1,1,1,5,5,1", "frame 1.5: frames are whole numbers from 1"),
        ("1,-1,1_0,1,5,5,1", "left is '1_0', not a number"),
        ("1_0,-1,1,1,5,5,1", "frame is '1_0', not a number"),
        ("1,-1,nan,1,5,5,1", "left is nan"),
        ("1,-1,1,inf,5,5,1", "top is inf"),
        ("1,-1,1e9,1,5,5,1", "a box beyond 1000000 pixels"),
        ("1e12,-1,1,1,5,5,1", "frames are whole numbers from 1 to 1000000000"),
    ],
)
def test_a_bad_row_is_refused_with_its_line_and_what_to_do(line, said):
    with pytest.raises(BadRow) as refused:
        read(f"1,-1,1,1,5,5,1\n\n{line}\n")
    assert str(refused.value).startswith("line 3: ")
    assert said in str(refused.value)


@given(st.text(max_size=60))
def test_whatever_a_line_holds_it_is_read_or_refused(line):
    try:
        boxes = read_boxes([line])
    except BadRow:
        return
    assert np.isfinite(boxes.boxes).all()


def test_a_result_is_sorted_and_has_ten_columns():
    lines = list(
        result_lines([Row(2, 1, 0, 0, 5, 5), Row(1, 2, 1.234, 2, 11.234, 22), Row(1, 1, 0, 0, 5, 5)])
    )
    assert [line.split(",")[:2] for line in lines] == [["1", "1"], ["1", "2"], ["2", "1"]]
    assert lines[1] == "1,2,1.23,2.00,10.00,20.00,1,-1,-1,-1\n"
