"""`pehra models evaluate` on real pictures, as a person or a script runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

MODEL = "street-2"
PEER = "yolov8n_full_integer_quant_416.tflite"
CLASSES = "bus,car,motorcycle,person,truck"


def evaluate(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pehra", "models", "evaluate", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_report_is_one_json_object_and_both_drawings_are_pictures(data_dir: Path, tmp_path: Path) -> None:
    done = evaluate(
        MODEL, data_dir / "street" / "valid", "--classes", CLASSES, "--limit", "16", "--json",
        "--beside", data_dir / "models" / PEER, "--pictures", tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert {"map50", "map50_95", "per_class", "invoke_ms_p50", "size_bytes", "images"} <= report.keys()
    assert report["images"] == 16
    assert 0.3 < report["map50"] <= 1
    assert report["map50_95"] < report["map50"]
    assert report["conf_floor"] == 0.001
    (peer,) = report["against"]
    assert 0 < peer["invoke_ratio"] < 1
    assert peer["classes"] == report["classes"]
    for name in ("precision-recall.png", "worst-misses.png"):
        picture = cv2.imread(str(tmp_path / name))
        assert picture is not None
        assert min(picture.shape[:2]) > 500
        assert picture.std() > 10


def test_people_get_tables_of_classes_sizes_and_confusion(data_dir: Path) -> None:
    done = evaluate(MODEL, data_dir / "street" / "valid", "--classes", CLASSES, "--limit", "8")
    assert done.returncode == 0, done.stderr
    for said in ("AP50-95", "precision", "side in the input", "as truck", "nothing labelled", "an invoke"):
        assert said in done.stdout


def test_names_that_nothing_tells_are_guessed_and_it_is_said(data_dir: Path) -> None:
    done = evaluate(MODEL, data_dir / "street" / "valid", "--limit", "4", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["guessed_labels"] == CLASSES.split(",")
    assert "WARNING: nothing names the classes" in done.stderr
    assert "4 of 480 pictures" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nowhere",), "no folder images/"),
        (("images-only",), "no folder labels/"),
        (("--classes", "bus,car"), "is not one of the dataset's, 0..1"),
        (("--classes", CLASSES, "--pictures", "/proc/looks"), "/proc/looks: cannot be written"),
        (("--classes", "cat,dog,cow,hen,pig"), "is a class of the model"),
        (("--classes", CLASSES, "--float", "none.tflite"), "none.tflite"),
        (("--classes", CLASSES, "--beside", "street-99"), "street-99"),
    ],
    ids=[
        "no folder",
        "no labels",
        "class beyond the map",
        "no place for drawings",
        "no class in common",
        "no float",
        "no peer",
    ],
)
def test_bad_input_ends_with_a_sentence_and_code_2(
    data_dir: Path, tmp_path: Path, arguments, says: str
) -> None:
    (tmp_path / "images-only" / "images").mkdir(parents=True)
    folder: Path = data_dir / "street" / "valid"
    if arguments and not arguments[0].startswith("--"):
        folder, arguments = tmp_path / arguments[0], arguments[1:]
    done = evaluate(MODEL, folder, *arguments, "--limit", "2")
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
