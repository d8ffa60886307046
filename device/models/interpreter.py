"""The one adapter around the TFLite interpreters: `ai-edge-litert` first, `tflite-runtime` second.

The only module that knows either library, and the only one where `Any` is allowed. It loads, feeds
and runs a model; it never looks at pictures and never interprets an output.
"""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from device.errors import ModelUnavailable
from device.models.quantise import Array, TensorSpec

POSTPROCESS_OP = "TFLite_Detection_PostProcess"
"""The custom operator that ends SSD models (tensorflow/lite/kernels/detection_postprocess.cc)."""

_DELEGATE_OP = "DELEGATE"
"""What XNNPACK puts beside the operators that it takes over."""

_PROBE = """
import sys
from tflite_runtime.interpreter import Interpreter
Interpreter(model_content=sys.stdin.buffer.read()).allocate_tensors()
"""


@dataclass(frozen=True, slots=True)
class PostProcess:
    """What the graph says of its SSD post-processing.

    Attributes:
        outputs: Tensor numbers of boxes, classes, scores and count, in that order.
        class_columns: Last dimension of the class scores that go in, with the background if there is one.
    """

    outputs: tuple[int, ...]
    class_columns: int


@dataclass(frozen=True, slots=True)
class Operator:
    """One node of a graph; an optional input that is absent is left out.

    Attributes:
        name: Such as ``CONV_2D``; a custom operator's own name.
        inputs: Weights included, in the order of the schema.
        outputs: What it computes.
    """

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True, slots=True)
class Graph:
    """A model as it is written, whether or not this machine can run it."""

    runtime: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    operators: tuple[Operator, ...]


def read_graph(path: Path | str, content: bytes) -> Graph:
    """Tensors and operators of a model, read without making room for them.

    Raises:
        ModelUnavailable: No runtime is installed, or it cannot read this file.
    """
    runtime, make = _runtime(path)
    if runtime == "tflite-runtime":
        _survive(path, content)
    try:
        it = make(model_content=content)
        specs = {int(details["index"]): _spec(details) for details in it.get_tensor_details()}
        inputs = tuple(_spec(details) for details in it.get_input_details())
        outputs = tuple(_spec(details) for details in it.get_output_details())
        nodes = it._get_ops_details()
    except (ValueError, RuntimeError) as error:
        raise ModelUnavailable(
            path, f"{runtime} cannot read it ({_first_line(error)})", _way_out(error)
        ) from error
    operators = tuple(
        Operator(str(node["op_name"]), _known(specs, node["inputs"]), _known(specs, node["outputs"]))
        for node in nodes
        if node["op_name"] != _DELEGATE_OP
    )
    return Graph(runtime, inputs, outputs, operators)


def _known(specs: dict[int, TensorSpec], numbers: Array) -> tuple[TensorSpec, ...]:
    return tuple(specs[int(number)] for number in numbers if int(number) in specs)


class Interpreter:
    """A loaded model and its tensors. Not for two threads at once; `invoke` releases the GIL.

    Args:
        path: Where the model came from, for messages.
        content: The `.tflite` file.
        threads: Threads of one invoke, at least 1.

    Raises:
        ModelUnavailable: No runtime is installed, it does not fit the installed numpy, or it cannot
            run this model.
    """

    def __init__(self, path: Path | str, content: bytes, *, threads: int = 1) -> None:
        self.runtime, make = _runtime(path)
        if self.runtime == "tflite-runtime":
            _survive(path, content)
        try:
            self._it: Any = make(model_content=content, num_threads=max(1, threads))
            self._it.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ModelUnavailable(
                path, f"{self.runtime} cannot run it ({_first_line(error)})", _way_out(error)
            ) from error
        self.inputs = tuple(_spec(details) for details in self._it.get_input_details())
        self.outputs = tuple(_spec(details) for details in self._it.get_output_details())
        self.postprocess = _postprocess(self._it)
        self.last_invoke_ms = 0.0
        self.image_input = _image_input(path, self.inputs)
        for spec in self.inputs:
            if spec is not self.image_input:
                self._it.set_tensor(spec.index, np.full(spec.shape, spec.zero_point, spec.dtype))

    def input_view(self) -> Array:
        """The image input's own memory, to be written in place; let go of it before :meth:`invoke`."""
        return cast(Array, self._it.tensor(self.image_input.index)())

    def invoke(self) -> None:
        """Run the model once and note how long it took in :attr:`last_invoke_ms`."""
        began_s = time.perf_counter()
        self._it.invoke()
        self.last_invoke_ms = (time.perf_counter() - began_s) * 1e3

    def output_views(self) -> list[Array]:
        """The outputs' own memory, in the order of :attr:`outputs`; gone bad with the next :meth:`invoke`."""
        return [self._it.tensor(spec.index)() for spec in self.outputs]


def _runtime(path: Path | str) -> tuple[str, Any]:
    """Name and `Interpreter` class of the first runtime that is installed and works."""
    try:
        return "ai-edge-litert", importlib.import_module("ai_edge_litert.interpreter").Interpreter
    except ImportError:
        pass
    numpy_is_new = int(np.__version__.split(".", maxsplit=1)[0]) >= 2
    if numpy_is_new and importlib.util.find_spec("tflite_runtime") is not None:
        raise ModelUnavailable(
            path,
            f"tflite-runtime is installed, but it fails with numpy {np.__version__}",
            "install pehra[tflite], which keeps numpy below 2, or pehra[device] for ai-edge-litert",
        )
    try:
        return "tflite-runtime", importlib.import_module("tflite_runtime.interpreter").Interpreter
    except ImportError as error:
        raise ModelUnavailable(
            path,
            "no TFLite runtime is installed",
            "install pehra[device] (ai-edge-litert), or pehra[tflite] (tflite-runtime) on armv7",
        ) from error


def _survive(path: Path | str, content: bytes) -> None:
    """Load the model in a child first: tflite-runtime does not verify a file and dies of a damaged one."""
    probe = [sys.executable, "-c", _PROBE]
    tried = subprocess.run(probe, input=content, capture_output=True, check=False, timeout=120)  # noqa: S603
    if tried.returncode < 0:
        raise ModelUnavailable(
            path, "tflite-runtime crashes on it, the file is damaged", "fetch or convert the model again"
        )


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", maxsplit=1)[0][:200].rstrip(".")


def _way_out(error: Exception) -> str:
    if "edgetpu" in str(error):
        return "give the version of this model that is not compiled for the Edge TPU"
    if "Flex" in str(error):
        return "convert it with TFLite built-in operators only"
    return "fetch or convert the model again"


def _spec(details: dict[str, Any]) -> TensorSpec:
    scale, zero_point = details["quantization"]
    return TensorSpec(
        name=str(details["name"]),
        shape=tuple(int(size) for size in details["shape"]),
        dtype=np.dtype(details["dtype"]),
        scale=float(scale),
        zero_point=int(zero_point),
        index=int(details["index"]),
    )


def _image_input(path: Path | str, inputs: tuple[TensorSpec, ...]) -> TensorSpec:
    """The input that takes the picture; all others are states, such as those of an LSTM."""
    for spec in inputs:
        if len(spec.shape) == 4 and spec.shape[0] == 1 and spec.shape[3] == 3:
            return spec
    raise ModelUnavailable(
        path,
        f"no input is a picture (1 x height x width x 3), there is {[spec.shape for spec in inputs]}",
        "give a model with one NHWC RGB input",
    )


def _postprocess(it: Any) -> PostProcess | None:  # noqa: ANN401
    """Look for SSD post-processing in the graph, by a call that is private in both runtimes."""
    try:
        operators = it._get_ops_details()
        for operator in operators:
            if operator["op_name"] == POSTPROCESS_OP:
                shapes = {int(details["index"]): details["shape"] for details in it.get_tensor_details()}
                return PostProcess(
                    outputs=tuple(int(index) for index in operator["outputs"]),
                    class_columns=int(shapes[int(operator["inputs"][1])][-1]),
                )
    except (AttributeError, KeyError, IndexError, ValueError):
        return None
    return None
