"""`pehra models`: list, inspect and evaluate, as a person runs them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from pehra.commands.models import models_app
from tests.tiny_tflite import Constant, tiny_tflite


def models(*arguments: object) -> Result:
    return CliRunner().invoke(models_app, [str(one) for one in arguments])


def person_model(folder: Path, labels: str = "person\nbicycle\n") -> Path:
    real = np.zeros((1, 6, 84), np.uint8)
    real[0, :5, 3] = [100, 100, 100, 100, 180]
    file = folder / "tiny.tflite"
    file.write_bytes(tiny_tflite([Constant("out", real, 1 / 200)], size=64))
    (folder / "tiny.txt").write_text(labels)
    return file


def dataset(folder: Path) -> Path:
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    cv2.imwrite(str(folder / "images" / "a.png"), np.zeros((64, 64, 3), np.uint8))
    (folder / "labels" / "a.txt").write_text("1 0.5 0.5 0.5 0.5\n0 0.1 0.1 0.1 0.1\n")
    return folder


def test_the_shipped_models_are_listed() -> None:
    done = models("list")
    assert done.exit_code == 0
    assert "street-2" in done.stdout


def test_inspect_shows_tensors_card_and_golden_vectors() -> None:
    done = models("inspect", "street-2")
    assert done.exit_code == 0, done.output
    for said in ("1x320x320x3", "int8", "0.0078125", "pehra-ltrb", "trained_on", "golden"):
        assert said in done.stdout


def test_inspect_of_an_unknown_model_is_exit_code_2_and_lists_the_ones_there_are() -> None:
    done = models("inspect", "street-9000")
    assert done.exit_code == 2
    assert "street-2" in done.stderr


def test_evaluate_prints_one_json_object_and_says_which_classes(tmp_path: Path) -> None:
    data = dataset(tmp_path / "data")
    done = models("evaluate", person_model(tmp_path), data, "--classes", "bus,person", "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert {"map50", "map50_95", "per_class", "invoke_ms_p50", "size_bytes", "images"} <= set(report)
    assert (report["map50"], report["images"], list(report["per_class"])) == (1.0, 1, ["person"])
    assert "averaged over person" in done.stderr


@pytest.mark.parametrize("arguments", [["--classes", "cat,dog"], []])
def test_a_dataset_that_does_not_fit_is_exit_code_2(tmp_path: Path, arguments: list[str]) -> None:
    done = models("evaluate", person_model(tmp_path), dataset(tmp_path / "data"), *arguments)
    assert done.exit_code == 2
    assert len(done.stderr.strip().splitlines()) <= 2


def test_train_with_a_recipe_that_is_not_there_is_exit_code_2(tmp_path: Path) -> None:
    done = models("train", "--recipe", tmp_path / "none.toml", "--data", tmp_path, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "none.toml" in done.stderr


def test_inspect_prints_one_json_object(tmp_path: Path) -> None:
    done = models("inspect", person_model(tmp_path), "--labels", "person,bicycle", "--json")
    assert done.exit_code == 0, done.output
    seen = json.loads(done.stdout)
    assert seen["trial"]["decoder"] == "yolov8"
    assert seen["anatomy"]["inputs"][0]["shape"] == [1, 64, 64, 3]


def test_inspect_of_a_damaged_file_is_exit_code_2_with_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "half.tflite"
    file.write_bytes(person_model(tmp_path).read_bytes()[:300])
    done = models("inspect", file)
    assert done.exit_code == 2
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "name", ["mobilenet_v1_0.5_160_quant", "traffic_model", "yolov8n_full_integer_quant_416"]
)
def test_foreign_models_are_inspected_and_verified(data_dir: Path, name: str) -> None:
    file = data_dir / "models" / f"{name}.tflite"
    shown = models("inspect", file)
    assert shown.exit_code == 0, shown.output
    assert "CONV_2D" in shown.stdout
    labels = ["--labels", "car,person,bus,truck"] if name == "traffic_model" else []
    judged = models("verify", file, "--json", *labels)
    checks = {check["name"]: check["state"] for check in json.loads(judged.stdout)["checks"]}
    is_detector = name != "mobilenet_v1_0.5_160_quant"
    assert checks["runs"] == checks["integer"] == checks["size"] == "ok"
    assert checks["outputs"] == ("ok" if is_detector else "WRONG")
    assert judged.exit_code == (0 if is_detector else 1)


def test_verify_says_one_line_a_check_and_ends_with_1_where_one_is_wrong() -> None:
    done = models("verify", "street-2", "--slot-bytes", "1000")
    assert done.exit_code == 1
    assert next(line for line in done.stdout.splitlines() if line.startswith("WRONG")).split()[1] == "size"
    assert models("verify", "street-2").exit_code == 0


def test_verify_of_nothing_is_exit_code_2(tmp_path: Path) -> None:
    assert models("verify", tmp_path / "none.tflite").exit_code == 2
