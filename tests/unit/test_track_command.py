"""`pehra track`: a file of detections in, a file of tracks out."""

import numpy as np
import pytest
from typer.testing import CliRunner

from device.firmware.tracker import TrackerSettings
from pehra.cli import app
from pehra.commands.track_paths import Path, PathSettings, complete, smoothed
from pehra.commands.track_run import even_scores

FPS = 25


def lines(frames, *, speed=4.0, left=100.0, conf=0.9, top=200.0):
    """One person who walks to the right; a line a frame."""
    return "".join(f"{f},-1,{left + speed * f:.2f},{top},40,100,{conf},-1,-1,-1\n" for f in frames)


def run(tmp_path, text, *arguments, fps=FPS):
    det = tmp_path / "det.txt"
    det.write_text(text, encoding="utf-8")
    return CliRunner().invoke(app, ["track", str(det), "--fps", str(fps), *arguments])


def rows(done):
    assert done.exit_code == 0, done.stderr
    return np.array([[float(cell) for cell in line.split(",")] for line in done.stdout.splitlines()])


def test_one_walker_is_one_track_from_the_first_frame_to_the_last(tmp_path):
    table = rows(run(tmp_path, lines(range(1, 51))))
    assert table[:, 0].tolist() == list(range(1, 51))
    assert set(table[:, 1]) == {1}
    assert np.abs(table[:, 2] - (100 + 4 * table[:, 0])).max() < 2


def test_a_short_gap_is_led_through_and_a_long_one_is_not(tmp_path):
    walk = [*range(1, 40), *range(50, 90)]
    assert rows(run(tmp_path, lines(walk)))[:, 0].tolist() == list(range(1, 90))
    short = rows(run(tmp_path, lines(walk), "--most-gap", "0.2"))
    assert short[:, 0].tolist() == walk
    assert set(short[:, 1]) == {1}


def test_online_says_nothing_of_a_frame_that_was_not_known_then(tmp_path):
    text = lines([*range(1, 40), *range(50, 90)])
    whole = rows(run(tmp_path, text, "--online"))
    known = "".join(line + "\n" for line in text.splitlines() if int(line.split(",")[0]) <= 60)
    until_60 = rows(run(tmp_path, known, "--online"))
    assert np.array_equal(whole[whole[:, 0] <= 60][:, :6], until_60[:, :6])
    assert whole[0, 0] == TrackerSettings().min_hits


def test_the_order_of_lines_and_the_range_of_confidence_change_nothing_for_one_object(tmp_path):
    forward = rows(run(tmp_path, lines(range(1, 40))))
    backward = rows(run(tmp_path, lines(reversed(range(1, 40)), conf=61.5)))
    assert np.array_equal(forward, backward)


def test_what_was_detected_a_few_times_only_is_no_object(tmp_path):
    table = rows(run(tmp_path, lines(range(1, 51)) + lines(range(10, 15), left=900.0, top=700.0)))
    assert set(table[:, 1]) == {1}


def test_tracks_do_not_depend_on_the_size_of_the_picture(tmp_path):
    def scaled(text, factor):
        parts = [line.split(",") for line in text.splitlines()]
        return "".join(
            ",".join([*p[:2], *(str(float(c) * factor) for c in p[2:6]), *p[6:]]) + "\n" for p in parts
        )

    text = lines(range(1, 60)) + lines(range(20, 70), speed=-4.0, left=400.0, top=210.0)
    small, large = rows(run(tmp_path, text)), rows(run(tmp_path, scaled(text, 4.0)))
    assert np.array_equal(small[:, :2], large[:, :2])
    assert np.allclose(small[:, 2:6] * 4.0, large[:, 2:6], atol=0.05)


def test_size_cuts_boxes_at_the_edges(tmp_path):
    table = rows(run(tmp_path, lines(range(1, 60)), "--size", "320x480"))
    assert (table[:, 2] + table[:, 4]).max() <= 320.0
    assert table[:, 0].max() < 56


def test_min_conf_leaves_out_what_the_file_calls_less_sure(tmp_path):
    text = lines(range(1, 50), conf=40) + lines(range(1, 50), left=900, conf=10)
    assert set(rows(run(tmp_path, text, "--min-conf", "20"))[:, 1]) == {1}
    assert len(set(rows(run(tmp_path, text))[:, 1])) == 2


def test_out_writes_the_file_and_nothing_to_the_standard_output(tmp_path):
    done = run(tmp_path, lines(range(1, 30)), "--out", str(tmp_path / "res.txt"))
    assert done.exit_code == 0
    assert done.stdout == ""
    assert len((tmp_path / "res.txt").read_text().splitlines()) == 29


@pytest.mark.parametrize("text", ["", "\n\n", "1,-1,10,10,0,5,1\n", "# nothing\n"])
def test_a_file_without_detections_gives_an_empty_result_and_a_question(tmp_path, text):
    done = run(tmp_path, text)
    assert (done.exit_code, done.stdout) == (0, "")
    assert "no detections in it: is this a det/det.txt?" in done.stderr


def test_a_file_with_detections_is_not_asked_about(tmp_path):
    assert "no detections" not in run(tmp_path, lines(range(1, 5))).stderr


def test_frames_a_year_apart_take_no_longer_than_two(tmp_path):
    table = rows(run(tmp_path, lines(range(1, 30)) + lines(range(900_000_000, 900_000_030), speed=0)))
    assert set(table[:, 1]) == {1, 2}


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        ("1,-1,1,1,5,5,1\n1,-1,x,1,5,5,1\n", (), "det.txt, line 2: left is 'x', not a number"),
        ("1,-1,1,1,5,5,1\n", ("--size", "1920"), "--size 1920: give width and height in pixels"),
        ("1,-1,1,1,5,5,1\n", ("--size", "0x5"), "--size 0x5"),
        ("1,-1,1,1,5,5,1\n", ("--min-conf", "nan"), "--min-conf nan: give a number"),
        ("1,-1,1,1,5,5,1\n", ("--min-conf", "-inf"), "--min-conf -inf: give a number"),
        ("1,-1,1,1,5,5,1\n", ("--out", "/nowhere/at/all"), "/nowhere/at/all: cannot be written"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(tmp_path, text, arguments, said):
    done = run(tmp_path, text, *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr


def test_a_file_that_is_not_there_or_no_text_is_said(tmp_path):
    done = CliRunner().invoke(app, ["track", str(tmp_path / "none.txt"), "--fps", "25"])
    assert (done.exit_code, "cannot be read" in done.stderr) == (2, True)
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    done = CliRunner().invoke(app, ["track", str(tmp_path / "photo.jpg"), "--fps", "25"])
    assert (done.exit_code, "is not a text file" in done.stderr) == (2, True)


def test_probabilities_stay_and_other_confidences_count_by_their_order():
    settings = TrackerSettings()
    assert np.array_equal(even_scores(np.array([0.2, 0.9]), settings), [0.2, 0.9])
    for strange in (np.array([-3.0, 0.0, 5.0, 80.0]), np.array([0.01, 0.02, 0.05, 0.3])):
        even = even_scores(strange, settings)
        assert (np.diff(even) > 0).all()
        assert even.min() >= settings.low
        assert even.max() > settings.high
    assert (even_scores(np.full(3, -1.0), settings) >= settings.high).all()


def test_smoothing_leaves_a_straight_line_as_it_is_and_calms_what_trembles():
    frames = np.array([*range(20), *range(30, 60)])
    straight = np.stack([3.0 * frames + side for side in range(4)], axis=1)
    assert np.allclose(smoothed(frames, straight, 3.0), straight)
    shaken = straight + np.random.default_rng(1).normal(0, 4, straight.shape)
    calm = smoothed(frames, shaken, 3.0)
    assert np.abs(calm - straight).mean() < 0.6 * np.abs(shaken - straight).mean()


def test_what_is_detected_in_few_of_its_frames_is_no_object():
    seldom = Path(dict.fromkeys(range(1, 200, 5), (0.0, 0.0, 5.0, 5.0)))
    often = Path(dict.fromkeys(range(1, 200, 2), (0.0, 0.0, 5.0, 5.0)))
    assert {row.track for row in complete({1: seldom, 2: often}, FPS, PathSettings())} == {2}
