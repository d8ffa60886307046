"""The layout as a Keras model with a trained network's weights, batch norm folded in. It never trains."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from device.models.training.layout import IMAGE, Node, outputs
from device.models.training.network import Network, Weighted


def build_keras(network: Network, size: int) -> Any:  # noqa: ANN401 - TensorFlow has no types
    """A Keras model that computes what `network` computes in evaluation.

    Input (1,size,size,3) float, RGB, (pixel - 128) / 128. Outputs as `outputs()` names them, NHWC: scores
    after sigmoid, boxes at least 0.
    """
    image = tf.keras.Input((size, size, 3), batch_size=1, name=IMAGE)
    values: dict[str, Any] = {IMAGE: image}
    for node in network.nodes:
        inputs = [values[name] for name in node.inputs]
        values[node.name] = _apply(node, inputs, network)
    return tf.keras.Model(image, [_finish(name, values[name]) for name in outputs()])


def _apply(node: Node, inputs: list[Any], network: Network) -> Any:  # noqa: ANN401
    if node.op == "add":
        return tf.keras.layers.Add(name=node.name)(inputs)
    if node.op == "up":
        return tf.keras.layers.UpSampling2D(2, interpolation="nearest", name=node.name)(inputs[0])
    kernel, bias = folded(network.weighted[node.name])
    common = {"strides": node.stride, "padding": "same", "name": node.name}
    if node.op == "depthwise":
        layer = tf.keras.layers.DepthwiseConv2D(node.kernel, **common)
        kernel = kernel.transpose(2, 3, 0, 1)  # C1HW to HWC1
    else:
        layer = tf.keras.layers.Conv2D(node.channels, node.kernel, **common)
        kernel = kernel.transpose(2, 3, 1, 0)  # OIHW to HWIO
    value = layer(inputs[0])
    layer.set_weights([kernel, bias])
    return value if node.plain else tf.keras.layers.ReLU(6.0, name=f"{node.name}_relu6")(value)


def _finish(name: str, value: Any) -> Any:  # noqa: ANN401
    activation = "sigmoid" if name.startswith("score") else "relu"
    return tf.keras.layers.Activation(activation, name=f"out_{name}")(value)


def folded(layer: Weighted) -> tuple[np.ndarray, np.ndarray]:
    """Kernel (O,I,H,W) and bias (O,) of a convolution with its batch norm folded in."""
    kernel = layer.conv.weight.detach().numpy()
    if layer.norm is None:
        return kernel, layer.conv.bias.detach().numpy()
    norm = layer.norm
    factor = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach().numpy()
    bias = norm.bias.detach().numpy() - norm.running_mean.numpy() * factor
    return kernel * factor[:, None, None, None], bias
