"""`pehra models quantise` with the real quantiser; left out where the [train] extra is not installed."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from device.models.bundle import load_bundle

if importlib.util.find_spec("ai_edge_quantizer") is None or importlib.util.find_spec("tensorflow") is None:
    pytest.skip(
        "left out: ai-edge-quantizer or tensorflow not installed (pip install 'pehra[train]')",
        allow_module_level=True,
    )

pytestmark = [pytest.mark.train, pytest.mark.timeout(300)]

_MAKE = """
import sys, tensorflow as tf
image = tf.keras.Input((64, 64, 3), batch_size=1)
x = tf.keras.layers.Conv2D(8, 3, strides=8, padding="same", activation="relu6")(image)
x = tf.keras.layers.Reshape((64, 8))(x)
x = tf.keras.layers.Conv1D(6, 1, activation="sigmoid")(x)
x = tf.keras.layers.Permute((2, 1))(x)
x = tf.keras.layers.ZeroPadding1D(0)(x)
x = tf.keras.layers.Concatenate(axis=2)([x, x[:, :, :16], x[:, :, :4]])
model = tf.keras.Model(image, x)
open(sys.argv[1], "wb").write(tf.lite.TFLiteConverter.from_keras_model(model).convert())
"""


@pytest.fixture(scope="module")
def float_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A YOLOv8-shaped float network of two classes (1,6,84) at 64 pixels, with random weights."""
    file = tmp_path_factory.mktemp("float") / "float.tflite"
    subprocess.run([sys.executable, "-c", _MAKE, str(file)], check=True, capture_output=True, timeout=200)
    return file


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(0)
    for number in range(12):
        cv2.imwrite(str(folder / f"{number}.png"), rng.integers(0, 256, (48, 64, 3)).astype(np.uint8))
    return folder


def quantise(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pehra", "models", "quantise", *map(str, arguments), "--labels", "person,car"],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def test_a_float_model_becomes_a_verified_int8_one(
    float_model: Path, photographs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "int8.tflite"
    done = quantise(float_model, photographs, "--out", out)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "operators compute in integers" in done.stdout
    assert "of the photographs" in done.stdout
    assert load_bundle(out, int8_only=True, labels=("person", "car")).card.input.dtype == "int8"
    again = quantise(float_model, photographs, "--out", out)
    assert again.returncode == 2
    assert "--force" in again.stderr
    twice = quantise(out, photographs, "--out", tmp_path / "twice.tflite")
    assert twice.returncode == 2
    assert "it is quantised already" in twice.stderr


def test_bad_input_is_a_sentence_and_writes_nothing(
    float_model: Path, photographs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "int8.tflite"
    few = tmp_path / "few"
    few.mkdir()
    (few / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    keras = tmp_path / "model.keras"
    keras.write_bytes(b"PK")
    for arguments, says in (
        ((float_model, few), "0 pictures could be read"),
        ((float_model, tmp_path / "nowhere"), "no such folder of photographs"),
        ((keras, photographs), "TFLiteConverter"),
    ):
        done = quantise(*arguments, "--out", out)
        assert done.returncode == 2
        assert says in done.stderr
        assert "Traceback" not in done.stderr
    assert not out.exists()
