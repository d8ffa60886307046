"""Start of the backbone from a quantised ImageNet MobileNetV1 file, its batch norm put back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter

from device.models.training.errors import DataMissing
from device.models.training.layout import IMAGE, Node
from device.models.training.network import Network

_SCOPE = "MobilenetV1/MobilenetV1/Conv2d_"


def initialise_backbone(network: Network, file: Path, pictures: torch.Tensor) -> None:
    """Give the backbone the file's weights; right after, it computes what the file computes, in float.

    The file's batch norms are folded. Each is put back with gamma = standard deviation and beta = mean of its
    layer's output over `pictures`, so that training starts from normalised layers.

    Args:
        network: changed in place.
        file: `mobilenet_v1_0.5_*_quant.tflite` of google-coral/test_data.
        pictures: (B,3,S,S) float as the network takes them.

    Raises:
        DataMissing: the file is absent or is not such a MobileNet.
    """
    constants = _read_constants(file)
    values = {IMAGE: pictures}
    with torch.no_grad():
        for node in network.nodes:
            if not node.is_backbone:
                continue
            weight, bias = _weights_of(node, constants, file)
            layer = network.weighted[node.name]
            if layer.conv.weight.shape != weight.shape:
                raise DataMissing(file, f"{node.name} is {tuple(weight.shape)}: not a width-0.5 MobileNetV1")
            layer.conv.weight.copy_(weight)
            _put_norm_back(layer, values[node.inputs[0]], bias)
            layer.eval()
            values[node.name] = network.compute(node, [values[node.inputs[0]]])
            layer.train()


def _put_norm_back(layer: Any, value: torch.Tensor, bias: torch.Tensor) -> None:  # noqa: ANN401
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
        raise DataMissing(file, "the file to initialise the backbone from is not there")
    try:
        interpreter = Interpreter(str(file))
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise DataMissing(file, f"is not a TFLite file ({error})") from error
    constants = {}
    for detail in interpreter.get_tensor_details():
        name = detail["name"].split(";")[0]
        if not name.startswith(_SCOPE) or not name.endswith(("Fold", "bias")):
            continue
        scale, zero_point = detail["quantization"]
        constants[name] = (interpreter.tensor(detail["index"])().astype(np.float32) - zero_point) * scale
    return constants


def _weights_of(
    node: Node, constants: dict[str, np.ndarray], file: Path
) -> tuple[torch.Tensor, torch.Tensor]:
    number = node.name.lstrip("convdwp")
    block = {"c": number, "d": f"{number}_depthwise", "p": f"{number}_pointwise"}[node.name[0]]
    op = "depthwise" if node.op == "depthwise" else "Conv2D"
    try:
        weight = constants[f"{_SCOPE}{block}/{op}_Fold"]
        bias = constants[f"{_SCOPE}{block}/BatchNorm_Fold/bias"]
    except KeyError as error:
        raise DataMissing(file, f"has no tensor {error}: not a quantised MobileNetV1") from error
    # TFLite: convolution OHWI, depthwise 1HWC; torch: OIHW, C1HW.
    order = (3, 0, 1, 2) if node.op == "depthwise" else (0, 3, 1, 2)
    return torch.from_numpy(weight.transpose(order).copy()), torch.from_numpy(bias.copy())
