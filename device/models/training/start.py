"""What a network starts from: a quantised ImageNet MobileNetV1, or a detector of ours, made float again.

Either has its batch norms folded into its weights; they are put back, so that training starts from normalised
layers. It never trains.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter

from device.models.training.errors import DataMissing
from device.models.training.layout import IMAGE, Node
from device.models.training.network import Network

_SCOPE = "MobilenetV1/MobilenetV1/Conv2d_"
_OURS = re.compile(r"[^/]+/(?P<node>\w+)_\d+/(?P<part>convolution|depthwise|Squeeze)")


_Weights = Callable[[Node], tuple[torch.Tensor, torch.Tensor]]


def initialise_backbone(network: Network, file: Path, pictures: torch.Tensor) -> None:
    """Give the backbone the file's weights; right after, it computes what the file computes, in float.

    Args:
        network: changed in place.
        file: `mobilenet_v1_0.5_*_quant.tflite` of google-coral/test_data.
        pictures: (B,3,S,S) float as the network takes them; over them the batch norms are put back.

    Raises:
        DataMissing: the file is absent or is not such a MobileNet.
    """
    constants = _read_constants(file)
    nodes = [node for node in network.nodes if node.is_backbone]
    _initialise(network, nodes, lambda node: _of_imagenet(node, constants, file), file, pictures)


def initialise_from_detector(network: Network, file: Path, pictures: torch.Tensor) -> None:
    """Give the whole network the weights of a detector that `pehra models train` made.

    Right after, it computes what the file computes, but for the file's rounding of activations.

    Args:
        network: of the same labels and neck width; changed in place.
        file: its int8 `.tflite`.
        pictures: as `initialise_backbone` takes them.

    Raises:
        DataMissing: the file is absent, or is not such a detector.
    """
    constants = _read_constants(file)
    _initialise(network, network.nodes, lambda node: _of_detector(node, constants, file), file, pictures)


def _initialise(
    network: Network, nodes: Sequence[Node], weights: _Weights, file: Path, pictures: torch.Tensor
) -> None:
    values = {IMAGE: pictures}
    with torch.no_grad():
        for node in nodes:
            inputs = [values[name] for name in node.inputs]
            if not node.is_weighted:
                values[node.name] = network.compute(node, inputs)
                continue
            weight, bias = weights(node)
            layer = network.weighted[node.name]
            if layer.conv.weight.shape != weight.shape:
                raise DataMissing(
                    file, f"{node.name} is {tuple(weight.shape)}, wanted {tuple(layer.conv.weight.shape)}"
                )
            layer.conv.weight.copy_(weight)
            if layer.norm is None:
                layer.conv.bias.copy_(bias)
            else:
                _put_norm_back(layer, inputs[0], bias)
            layer.eval()
            values[node.name] = network.compute(node, inputs)
            layer.train()


def _put_norm_back(layer: Any, value: torch.Tensor, bias: torch.Tensor) -> None:  # noqa: ANN401
    """Gamma and beta are the standard deviation and the mean of the layer's output over `value`."""
    if layer.is_padded_at_end:
        value = torch.nn.functional.pad(value, (0, 1, 0, 1))
    raw = layer.conv(value)
    mean, variance = raw.mean((0, 2, 3)), raw.var((0, 2, 3))
    layer.norm.running_mean.copy_(mean)
    layer.norm.running_var.copy_(variance)
    layer.norm.weight.copy_((variance + layer.norm.eps).sqrt())
    layer.norm.bias.copy_(mean + bias)


def _read_constants(file: Path) -> dict[str, np.ndarray]:
    if not file.is_file():
        raise DataMissing(file, "the file to start from is not there")
    try:
        interpreter = Interpreter(str(file))
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise DataMissing(file, f"is not a TFLite file ({error})") from error
    constants = {}
    for detail in interpreter.get_tensor_details():
        first, last = detail["name"].split(";")[0], detail["name"].split(";")[-1]
        if first.startswith(_SCOPE) and first.endswith(("Fold", "bias")):
            constants[first] = _real(interpreter, detail)
        elif ours := _OURS.fullmatch(last):
            constants[f"{ours['node']}/{ours['part']}"] = _real(interpreter, detail)
    return constants


def _real(interpreter: Interpreter, detail: dict[str, Any]) -> np.ndarray:
    """A constant's real values: (q - zero point) * scale, by tensor or along its channels."""
    told = detail["quantization_parameters"]
    shape = [1] * len(detail["shape"])
    shape[told["quantized_dimension"] if told["scales"].size > 1 else 0] = told["scales"].size
    levels = interpreter.get_tensor(detail["index"]).astype(np.float32)
    real: np.ndarray = (levels - told["zero_points"].reshape(shape)) * told["scales"].reshape(shape)
    return real.astype(np.float32)


def _of_imagenet(
    node: Node, constants: dict[str, np.ndarray], file: Path
) -> tuple[torch.Tensor, torch.Tensor]:
    number = node.name.lstrip("convdwp")
    block = {"c": number, "d": f"{number}_depthwise", "p": f"{number}_pointwise"}[node.name[0]]
    op = "depthwise" if node.op == "depthwise" else "Conv2D"
    names = f"{_SCOPE}{block}/{op}_Fold", f"{_SCOPE}{block}/BatchNorm_Fold/bias"
    return _as_torch(node, names, constants, file, "a quantised MobileNetV1")


def _of_detector(
    node: Node, constants: dict[str, np.ndarray], file: Path
) -> tuple[torch.Tensor, torch.Tensor]:
    op = "depthwise" if node.op == "depthwise" else "convolution"
    names = f"{node.name}/{op}", f"{node.name}/Squeeze"
    return _as_torch(node, names, constants, file, "a detector that pehra models train made")


def _as_torch(
    node: Node, names: tuple[str, str], constants: dict[str, np.ndarray], file: Path, wanted: str
) -> tuple[torch.Tensor, torch.Tensor]:
    try:
        weight, bias = (constants[name] for name in names)
    except KeyError as error:
        raise DataMissing(file, f"has no tensor {error}: not {wanted}") from error
    # TFLite: convolution OHWI, depthwise 1HWC; torch: OIHW, C1HW.
    order = (3, 0, 1, 2) if node.op == "depthwise" else (0, 3, 1, 2)
    return torch.from_numpy(weight.transpose(order).copy()), torch.from_numpy(bias.copy())
