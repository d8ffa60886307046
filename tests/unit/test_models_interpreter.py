from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from device.errors import ModelUnavailable
from device.models.interpreter import Interpreter
from tests.tiny_tflite import Constant, tiny_tflite

OUT = Constant("out", np.arange(6, dtype=np.uint8).reshape(1, 6), 0.5, 3)


def test_tensors_are_described_and_run() -> None:
    it = Interpreter("m", tiny_tflite([OUT], size=16, dtype="int8", zero_point=-128))
    assert (it.image_input.shape, it.image_input.dtype, it.image_input.zero_point) == (
        (1, 16, 16, 3),
        np.int8,
        -128,
    )
    assert (it.outputs[0].name, it.outputs[0].zero_point) == ("out", 3)
    it.input_view()[:] = 5
    it.invoke()
    assert it.output_views()[0].tolist() == [[0, 1, 2, 3, 4, 5]]
    assert it.last_invoke_ms > 0
    it.invoke()


def test_state_inputs_are_fed_zeros() -> None:
    state = Constant("lstm", np.zeros((1, 4), np.uint8), 0.02, 7)
    it = Interpreter("m", tiny_tflite([OUT], states=[state]))
    spec = next(spec for spec in it.inputs if spec.name == "lstm")
    assert it._it.get_tensor(spec.index).tolist() == [[7, 7, 7, 7]]
    assert it.image_input.name == "image"


def test_a_model_without_a_picture_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="no input is a picture"):
        Interpreter("m", tiny_tflite([OUT], channels=1))


def without_litert(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)


def test_without_any_runtime_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    without_litert(monkeypatch)
    monkeypatch.setitem(sys.modules, "tflite_runtime", None)
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelUnavailable, match=r"no TFLite runtime.*pehra\[device\]"):
        Interpreter("m", tiny_tflite([OUT]))


def test_tflite_runtime_under_numpy_2_is_refused_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "tflite_runtime"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    without_litert(monkeypatch)
    monkeypatch.setattr(np, "__version__", "2.1.0")
    with pytest.raises(ModelUnavailable, match=r"fails with numpy 2.1.0; install pehra\[tflite\]"):
        Interpreter("m", tiny_tflite([OUT]))


def test_tflite_runtime_is_second_and_a_file_that_would_kill_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "tflite_runtime"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "interpreter.py").write_text(
        "import os, signal\n"
        "class Interpreter:\n"
        "    def __init__(self, **_): os.kill(os.getpid(), signal.SIGSEGV)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    without_litert(monkeypatch)
    monkeypatch.setattr(np, "__version__", "1.26.4")
    with pytest.raises(ModelUnavailable, match="crashes on it, the file is damaged"):
        Interpreter("m", tiny_tflite([OUT]))
