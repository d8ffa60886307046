"""Tiny `.tflite` files for tests: a picture goes in, the outputs are constants.

They are real files that a real runtime loads and runs; only the network is missing. Written with the
flatbuffer schema that `ai-edge-litert` ships.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

_TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "int8": schema.TensorType.INT8,
    "uint8": schema.TensorType.UINT8,
    "int32": schema.TensorType.INT32,
}


@dataclass(frozen=True)
class Constant:
    """An output that is always the same; `scale` 0 for one that is not quantised."""

    name: str
    values: np.ndarray[Any, Any]
    scale: float = 0.0
    zero_point: int = 0


def tiny_tflite(
    outputs: list[Constant],
    *,
    size: int = 32,
    channels: int = 3,
    dtype: str = "uint8",
    scale: float = 1 / 255,
    zero_point: int = 0,
    states: list[Constant] | None = None,
) -> bytes:
    """A model with one NHWC picture input, further inputs like `states`, and these outputs."""
    picture = Constant("image", np.zeros((1, size, size, channels), dtype), scale, zero_point)
    inputs = [picture, *(states or [])]
    model = schema.ModelT()
    model.version = 3
    model.description = "tests"
    model.buffers = [schema.BufferT()]
    graph = schema.SubGraphT()
    graph.tensors = [_tensor(model, one, is_constant=False) for one in inputs]
    graph.tensors += [_tensor(model, one, is_constant=True) for one in outputs]
    graph.inputs = list(range(len(inputs)))
    graph.outputs = list(range(len(inputs), len(inputs) + len(outputs)))
    graph.operators = []
    model.operatorCodes = []
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _tensor(model: Any, one: Constant, *, is_constant: bool) -> Any:
    tensor = schema.TensorT()
    tensor.name = one.name.encode()
    tensor.shape = list(one.values.shape)
    tensor.type = _TYPES[one.values.dtype.name]
    tensor.buffer = 0
    if one.scale and one.values.dtype.kind in "iu":
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale = [one.scale]
        tensor.quantization.zeroPoint = [one.zero_point]
    if is_constant:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(one.values).tobytes(), np.uint8)
        model.buffers.append(buffer)
        tensor.buffer = len(model.buffers) - 1
    return tensor
