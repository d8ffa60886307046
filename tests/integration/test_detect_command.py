"""`pehra detect` as a person runs it: another process, real files, real models."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from device.models.labels import CLASSES, COCO_80
from tests.tiny_tflite import Constant, tiny_tflite

PROGRAM = "import typer; from pehra.commands.detect import detect; typer.run(detect)"


def detect(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, *(str(one) for one in arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A yolov8 that always says: a bus in the middle half."""
    real = np.zeros((1, 84, 84), np.uint8)
    real[0, :4, 3] = 100
    real[0, 4 + 5, 3] = 180
    file = tmp_path / "bus.tflite"
    file.write_bytes(tiny_tflite([Constant("out", real, 1 / 200)], size=64))
    return file


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        cv2.imwrite(str(folder / f"{number}.jpg"), np.full((60, 80, 3), 40 * number, np.uint8))
    return folder


def test_each_photo_of_a_folder_is_one_line_of_json(photos: Path, model: Path) -> None:
    done = detect(photos, "--model", model, "--json", "-")
    assert done.returncode == 0, done.stderr
    rows = lines_of(done.stdout)
    assert [Path(row["source"]).name for row in rows] == ["0.jpg", "1.jpg", "2.jpg"]
    first = rows[0]
    assert set(first) == {"source", "frame", "ts_s", "width", "height", "detections"}
    assert (first["frame"], first["ts_s"], first["width"], first["height"]) == (0, 0.0, 80, 60)
    (found,) = first["detections"]
    assert set(found) == {"class", "conf", "box"}
    assert (found["class"], found["conf"]) == ("bus", 0.9)
    assert found["box"] == pytest.approx([0.25, 1 / 6, 0.75, 5 / 6], abs=1e-5)


def test_a_corrupt_jpeg_in_a_folder_is_named_and_skipped(photos: Path, model: Path) -> None:
    whole = (photos / "1.jpg").read_bytes()
    (photos / "1.jpg").write_bytes(whole[: len(whole) // 2])
    (photos / "empty.png").touch()
    done = detect(photos, "--model", model, "--json", "-")
    assert done.returncode == 0
    assert [Path(row["source"]).name for row in lines_of(done.stdout)] == ["0.jpg", "2.jpg"]
    assert "1.jpg: skipped" in done.stderr
    assert "empty.png: skipped" in done.stderr


def test_nothing_that_can_be_read_is_exit_code_2(tmp_path: Path, model: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"no picture")
    done = detect(tmp_path / "x.jpg", tmp_path / "gone.jpg", "--model", model, "--json", "-")
    assert (done.returncode, done.stdout) == (2, "")
    assert "x.jpg: skipped" in done.stderr
    assert "gone.jpg" in done.stderr
    assert "no picture could be read" in done.stderr


def test_a_picture_of_one_pixel_is_looked_at(tmp_path: Path, model: Path) -> None:
    cv2.imwrite(str(tmp_path / "dot.png"), np.zeros((1, 1, 3), np.uint8))
    done = detect(tmp_path / "dot.png", "--model", model, "--json", "-")
    assert done.returncode == 0, done.stderr
    (row,) = lines_of(done.stdout)
    assert (row["width"], row["height"]) == (1, 1)
    for found in row["detections"]:
        assert all(0 <= side <= 1 for side in found["box"])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty (0 bytes)"),
        (b"GIF89a" * 10, "not a TFLite model"),
        (None, "there is no such file, and no shipped, pulled or added model of that name"),
    ],
)
def test_a_bad_model_is_one_sentence_and_exit_code_2(
    tmp_path: Path, photos: Path, content: bytes | None, said: str
) -> None:
    file = tmp_path / "bad.tflite"
    if content is not None:
        file.write_bytes(content)
    done = detect(photos, "--model", file, "--json", "-")
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_float_model_runs_and_is_called_one(tmp_path: Path, photos: Path) -> None:
    real = np.zeros((1, 84, 84), np.float32)
    real[0, :4, 3] = 0.5
    real[0, 4, 3] = 0.75
    file = tmp_path / "float.tflite"
    file.write_bytes(tiny_tflite([Constant("out", real)], size=64, dtype="float32", scale=0.0))
    done = detect(photos, "--model", file, "--json", "-")
    assert done.returncode == 0, done.stderr
    assert "is a float model at its input" in done.stderr
    assert "a device refuses it" in done.stderr
    assert lines_of(done.stdout)[0]["detections"][0]["class"] == "person"


def test_without_json_people_get_a_table_and_drawn_pictures(
    tmp_path: Path, photos: Path, model: Path
) -> None:
    done = detect(photos, "--model", model, "--draw", tmp_path / "drawn", "--max-frames", 2)
    assert done.returncode == 0, done.stderr
    assert "bus" in done.stdout
    assert "2 frames" in done.stderr
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == ["0.jpg", "1.jpg"]
    picture = cv2.imread(str(tmp_path / "drawn" / "0.jpg"))
    assert picture.shape == (60, 80, 3)
    assert picture.max() > 100


def test_json_goes_to_a_file_when_one_is_named(tmp_path: Path, photos: Path, model: Path) -> None:
    done = detect(photos, "--model", model, "--json", tmp_path / "out.jsonl")
    assert done.returncode == 0, done.stderr
    assert len(lines_of((tmp_path / "out.jsonl").read_text())) == 3


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path, photos: Path, model: Path) -> None:
    done = detect(photos, "--model", model, "--json", tmp_path / "nowhere" / "out.jsonl")
    assert done.returncode == 2
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_is_said_of_the_output_not_of_the_source(photos: Path, model: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    done = detect(photos, "--model", model, "--json", "/dev/full")
    assert done.returncode == 2
    assert "cannot write: [Errno 28]" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_source_that_cannot_be_read_is_named_and_the_others_are_looked_at(
    photos: Path, model: Path
) -> None:
    name = "x" * 300 + ".jpg"
    done = detect(name, photos, "--model", model, "--json", "-")
    assert done.returncode == 0, done.stderr
    assert f"{name}: cannot be read (File name too long)" in done.stderr
    assert "cannot write" not in done.stderr
    assert len(lines_of(done.stdout)) == 3


def test_the_eighty_names_of_coco_are_labels_and_no_file(photos: Path, model: Path) -> None:
    done = detect(photos, "--model", model, "--labels", ",".join(COCO_80), "--json", "-")
    assert done.returncode == 0, done.stderr
    assert "labels as given" in done.stderr
    assert lines_of(done.stdout)[0]["detections"][0]["class"] == "bus"


def test_labels_for_a_model_with_a_card_are_said_to_be_ignored(photos: Path) -> None:
    done = detect(photos, "--labels", "cat,dog", "--json", "-")
    assert done.returncode == 0, done.stderr
    assert "street-2 has a card with its labels: --labels is ignored" in done.stderr


def test_a_reader_that_leaves_early_is_no_error(photos: Path, model: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, "street:seed=3", "--model", str(model), "--json", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        json.loads(running.stdout.readline())
        running.stdout.close()
        said = running.stderr.read()
        assert running.wait(60) == 0, said
    assert "Traceback" not in said


def test_the_simulated_street_is_a_source(model: Path) -> None:
    done = detect("street:seed=3", "--max-frames", 3, "--json", "-")
    assert done.returncode == 0, done.stderr
    rows = lines_of(done.stdout)
    assert [row["frame"] for row in rows] == sorted(row["frame"] for row in rows)
    assert len(rows) == 3


def test_a_real_street_video_shows_its_cars_and_its_cyclist(data_dir: Path) -> None:
    video = data_dir / "videos" / "otc_cars_cyclist.mp4"
    model = data_dir / "models" / "yolov8n_full_integer_quant_416.tflite"
    done = detect(video, "--model", model, "--json", "-")
    assert done.returncode == 0, done.stderr
    rows = lines_of(done.stdout)
    assert len(rows) == 60
    assert [row["frame"] for row in rows] == list(range(60))
    assert rows[20]["ts_s"] == pytest.approx(1.0, abs=0.01)
    names = [found["class"] for row in rows for found in row["detections"]]
    assert set(names) <= set(CLASSES)
    assert names.count("car") > 60
    assert names.count("person") > 30
    assert names.count("bicycle") > 10


def test_an_ssd_with_lstm_states_runs_as_the_graph_says(data_dir: Path) -> None:
    """The numbers are compared with a plain reading of the same outputs."""
    model = data_dir / "models" / "traffic_model.tflite"
    photo = data_dir / "street" / "valid" / "images" / "valid-0000.webp"
    done = detect(photo, "--model", model, "--labels", "car,person,bicycle", "--conf", 0.02, "--json", "-")
    assert done.returncode == 0, done.stderr
    from ai_edge_litert.interpreter import Interpreter

    plain = Interpreter(model_path=str(model))
    plain.allocate_tensors()
    picture = cv2.cvtColor(cv2.imread(str(photo)), cv2.COLOR_BGR2RGB)
    image, *states = plain.get_input_details()
    plain.set_tensor(image["index"], cv2.resize(picture, (256, 256))[None])
    for state in states:
        plain.set_tensor(state["index"], np.zeros(state["shape"], np.uint8))
    plain.invoke()
    boxes, classes, scores, count = (
        plain.get_tensor(one["index"])[0] for one in plain.get_output_details()[:4]
    )
    names = ("car", "person", "bicycle")
    expected = []
    for number in range(int(count)):
        if scores[number] >= 0.02:
            top, left, bottom, right = np.clip(boxes[number], 0, 1).tolist()
            expected.append(
                (names[int(classes[number])], round(float(scores[number]), 4), left, top, right, bottom)
            )
    (row,) = lines_of(done.stdout)
    got = [(one["class"], round(one["conf"], 4), *one["box"]) for one in row["detections"]]
    assert len(got) == len(expected) > 0
    for mine, theirs in zip(sorted(got), sorted(expected), strict=True):
        assert mine[0] == theirs[0]
        assert mine[1:] == pytest.approx(theirs[1:], abs=1e-3)
