"""A file is looked into in a child: what a damaged or strange one does, it does there."""

from __future__ import annotations

import os
import random
import resource
import sys
from pathlib import Path

import numpy as np
import pytest

from device.errors import ModelUnavailable
from device.models.bundle import HOME
from device.models.examine import examine, macs_of
from device.models.interpreter import Operator, read_graph
from device.models.quantise import TensorSpec
from tests.tiny_tflite import Constant, tiny_tflite

STREET_2 = HOME / "street-2" / "model.tflite"


def written(folder: Path, content: bytes) -> Path:
    file = folder / "some.tflite"
    file.write_bytes(content)
    return file


def spec(*shape: int) -> TensorSpec:
    return TensorSpec("t", shape, np.dtype(np.int8), 0.1)


def test_a_shipped_model_is_told_by_its_operators_and_runs() -> None:
    seen = examine("street-2")
    assert seen.anatomy is not None
    assert seen.anatomy.operators["CONV_2D"] == 35
    assert seen.anatomy.is_integer
    assert 570e6 < seen.anatomy.macs < 585e6
    assert (seen.trial.trouble, seen.trial.misfit, seen.trial.decoder) == ("", "", "pehra-ltrb")
    assert seen.trial.card is not None
    assert seen.card_sha256 == seen.sha256


def test_a_model_that_takes_no_picture_still_shows_its_tensors(tmp_path: Path) -> None:
    grey = tiny_tflite([Constant("out", np.zeros((1, 10), np.uint8), 1 / 256)], channels=1)
    seen = examine(written(tmp_path, grey))
    assert seen.anatomy is not None
    assert seen.anatomy.inputs[0].shape == (1, 32, 32, 1)
    assert "no input is a picture" in seen.trial.trouble


@pytest.mark.parametrize("shape", [(1, 1001), (1, 32, 32, 21)], ids=["classifier", "segmentation"])
def test_what_is_not_a_detector_runs_and_has_no_layout(tmp_path: Path, shape: tuple[int, ...]) -> None:
    seen = examine(written(tmp_path, tiny_tflite([Constant("out", np.zeros(shape, np.uint8), 1 / 256)])))
    assert seen.trial.trouble == ""
    assert seen.trial.decoder == ""
    assert "not those of a detector" in seen.trial.no_card


@pytest.mark.parametrize("kept", [9, 40, 1000, 500_000, 1_464_000])
def test_a_truncated_file_is_a_sentence(tmp_path: Path, kept: int) -> None:
    seen = examine(written(tmp_path, STREET_2.read_bytes()[:kept]))
    assert seen.anatomy is None
    assert "fetch or convert the model again" in seen.trial.trouble


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_bytes_after_the_magic_are_a_sentence(tmp_path: Path, seed: int) -> None:
    noise = random.Random(seed).randbytes(5000)
    seen = examine(written(tmp_path, STREET_2.read_bytes()[:8] + noise))
    assert seen.anatomy is None
    assert "fetch or convert the model again" in seen.trial.trouble


@pytest.mark.parametrize("at", [8, 100, 2000, 1_000_000, 1_440_000])
def test_a_zeroed_range_ends_in_an_answer(tmp_path: Path, at: int) -> None:
    content = bytearray(STREET_2.read_bytes())
    content[at : at + 2000] = bytes(2000)
    seen = examine(written(tmp_path, bytes(content)))
    assert seen.trial.trouble or seen.trial.invoke_ms > 0
    assert seen.anatomy is not None or seen.trial.trouble


@pytest.mark.skipif("PEHRA_QEMU" in os.environ, reason="qemu-user sets no limit on memory (RLIMIT_AS)")
def test_a_model_that_wants_more_memory_than_there_is_is_a_sentence(tmp_path: Path) -> None:
    huge = tiny_tflite([Constant("out", np.zeros((1, 10), np.uint8), 1 / 256)], size=32)
    side = (32).to_bytes(4, "little")
    assert huge.count(side + side) >= 1
    seen = examine(written(tmp_path, huge.replace(side + side, (60_000).to_bytes(4, "little") * 2)))
    assert seen.trial.trouble


def test_a_model_that_takes_too_long_is_a_sentence(tmp_path: Path) -> None:
    seen = examine(STREET_2, limit_s=0.001)
    assert "does not come to an end" in seen.trial.trouble


def test_a_child_that_writes_without_end_takes_none_of_our_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flood = "import os\nwhile True: os.write(2, b'x' * 1_000_000)"
    monkeypatch.setattr("device.models.examine._command", lambda *_: [sys.executable, "-c", flood])
    file = written(tmp_path, tiny_tflite([Constant("out", np.zeros((1, 10), np.uint8), 1 / 256)]))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "damaged" in examine(file, limit_s=10.0).trial.trouble
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000, "kilobytes"


def test_a_file_that_is_no_model_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="not a TFLite model"):
        examine(written(tmp_path, b"PK\x03\x04 and more"))


def test_a_float_detector_has_its_layout_told(tmp_path: Path) -> None:
    # 84 numbers for each of the 21 cells of a 32-pixel input: YOLOv8's float export, COCO.
    outputs = [Constant("out", np.zeros((1, 84, 21), np.float32))]
    seen = examine(written(tmp_path, tiny_tflite(outputs, dtype="float32", scale=0)))
    assert (seen.trial.decoder, seen.trial.classes) == ("yolov8", 80)
    assert seen.anatomy is not None
    assert not seen.anatomy.is_integer


@pytest.mark.parametrize(
    ("name", "inputs", "output", "macs"),
    [
        ("CONV_2D", [(1, 8, 8, 3), (16, 3, 3, 3)], (1, 4, 4, 16), 4 * 4 * 16 * 27),
        ("DEPTHWISE_CONV_2D", [(1, 8, 8, 16), (1, 3, 3, 16)], (1, 8, 8, 16), 8 * 8 * 16 * 9),
        ("TRANSPOSE_CONV", [(4,), (8, 2, 2, 3), (1, 4, 4, 3)], (1, 8, 8, 8), 4 * 4 * 3 * 8 * 2 * 2),
        ("FULLY_CONNECTED", [(1, 64), (10, 64)], (1, 10), 640),
        ("BATCH_MATMUL", [(2, 5, 7), (2, 7, 3)], (2, 5, 3), 2 * 5 * 3 * 7),
        ("ADD", [(1, 4), (1, 4)], (1, 4), 0),
    ],
)
def test_multiplications_are_counted_from_shapes(
    name: str, inputs: list[tuple[int, ...]], output: tuple[int, ...], macs: int
) -> None:
    operator = Operator(name, tuple(spec(*shape) for shape in inputs), (spec(*output),))
    assert macs_of(operator) == macs


def test_what_a_runtime_puts_into_a_graph_is_not_part_of_it() -> None:
    names = {operator.name for operator in read_graph("street-2", STREET_2.read_bytes()).operators}
    assert "DELEGATE" not in names
    assert "CONV_2D" in names
