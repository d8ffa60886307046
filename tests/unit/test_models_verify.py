"""Each check of a model says what is wrong and what to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from device.models.bundle import CARD_FILE, HOME, MODEL_FILE
from device.models.examine import Anatomy, Examination, Tensor, examine
from device.models.verify import Check, verify
from tests.tiny_tflite import Constant, tiny_tflite


@pytest.fixture(scope="module")
def shipped() -> Examination:
    return examine("street-2")


def told(seen: Examination, **limits: int) -> dict[str, Check]:
    return {check.name: check for check in verify(seen, **limits)}


def bundle_in(folder: Path, model: bytes, card: str) -> Path:
    (folder / MODEL_FILE).write_bytes(model)
    (folder / CARD_FILE).write_text(card)
    return folder


def shipped_with(folder: Path, old: str, new: str) -> Path:
    card = (HOME / "street-2" / CARD_FILE).read_text()
    assert old in card
    return bundle_in(folder, (HOME / "street-2" / MODEL_FILE).read_bytes(), card.replace(old, new, 1))


def test_a_shipped_model_passes_every_check(shipped: Examination) -> None:
    assert {check.state for check in verify(shipped)} == {"ok"}


def test_a_model_larger_than_a_slot_is_wrong(shipped: Examination) -> None:
    check = told(shipped, slot_bytes=1_000_000)["size"]
    assert check.state == "WRONG"
    assert "larger than a slot" in check.says


def test_a_file_that_is_not_the_cards_is_wrong(tmp_path: Path) -> None:
    folder = shipped_with(tmp_path, 'sha256 = "', 'sha256 = "0000')
    assert told(examine(folder))["sha256"].state == "WRONG"


@pytest.mark.parametrize(
    ("old", "new", "name", "says"),
    [
        ("width = 320", "width = 224", "input", "the card says (320, 224"),
        ("scale = 0.0078125", "scale = 0.5", "input", "scale 0.0078125"),
        ('dtype = "int8"', 'dtype = "uint8"', "input", "int8"),
        ('"truck"]', '"truck", "tram"]', "outputs", "7 labels"),
        ('decoder = "pehra-ltrb"', 'decoder = "yolov8"', "outputs", "yolov8"),
        ("zero_point = 0", 'zero_point = "none"', "card", "zero_point"),
    ],
)
def test_a_card_that_does_not_fit_the_file_is_wrong(
    tmp_path: Path, old: str, new: str, name: str, says: str
) -> None:
    check = told(examine(shipped_with(tmp_path, old, new)))[name]
    assert check.state == "WRONG"
    assert says in check.says


def test_golden_values_that_come_out_otherwise_are_wrong(tmp_path: Path) -> None:
    card = (HOME / "street-2" / CARD_FILE).read_text()
    first = card.index("value = ")
    end_of_line = card.index("\n", first)
    folder = bundle_in(
        tmp_path,
        (HOME / "street-2" / MODEL_FILE).read_bytes(),
        card[:first] + "value = -3.5" + card[end_of_line:],
    )
    check = told(examine(folder))["golden"]
    assert check.state == "WRONG"
    assert "1 of 48" in check.says


def test_golden_values_of_an_output_that_is_not_there_are_wrong(tmp_path: Path) -> None:
    card = (HOME / "street-2" / CARD_FILE).read_text()
    output = card.split('output = "', 1)[1].split('"', 1)[0]
    check = told(examine(shipped_with(tmp_path, f'output = "{output}"', 'output = "nowhere"')))["golden"]
    assert check.state == "WRONG"
    assert "nowhere" in check.says


def test_a_bare_file_is_told_which_checks_cannot_be_made(tmp_path: Path) -> None:
    file = tmp_path / "bare.tflite"
    file.write_bytes(tiny_tflite([Constant("out", np.zeros((1, 84, 21), np.int8), 0.01)], dtype="int8"))
    checks = told(examine(file))
    assert [checks[name].state for name in ("card", "sha256", "golden")] == ["left out"] * 3
    assert checks["outputs"].state == "ok"


def test_a_classifier_is_not_a_detector(tmp_path: Path) -> None:
    file = tmp_path / "classifier.tflite"
    file.write_bytes(tiny_tflite([Constant("out", np.zeros((1, 1001), np.uint8), 1 / 256)]))
    check = told(examine(file))["outputs"]
    assert check.state == "WRONG"
    assert "not a detector" in check.says


def test_a_damaged_file_does_not_run_and_a_device_would_not_take_it(tmp_path: Path) -> None:
    file = tmp_path / "half.tflite"
    file.write_bytes((HOME / "street-2" / MODEL_FILE).read_bytes()[:700_000])
    checks = told(examine(file))
    assert checks["runs"].state == "WRONG"
    assert "integer" not in checks


@pytest.mark.parametrize(
    ("floats", "dtype", "says"),
    [
        ({"CONV_2D": 64}, "float32", "a float model"),
        ({"LOGISTIC": 3}, "uint8", "partially quantised"),
        ({}, "float32", "its input is float"),
    ],
)
def test_what_computes_in_float_is_named(
    shipped: Examination, floats: dict[str, int], dtype: str, says: str
) -> None:
    anatomy = Anatomy(
        runtime="test",
        inputs=[Tensor("image", (1, 32, 32, 3), dtype, 0.0, 0)],
        outputs=[],
        operators={"CONV_2D": 64, "LOGISTIC": 3},
        macs=0,
        float_operators=floats,
        float_tensors=["head/score"] if floats else [],
    )
    seen = Examination(shipped.path, 1, shipped.sha256, True, shipped.card_sha256, anatomy, shipped.trial)
    check = told(seen)["integer"]
    assert check.state == "WRONG"
    assert says in check.says
    assert all(name in check.says for name in floats)
