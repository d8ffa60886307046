"""The network as plain data, so that torch (training) and Keras (export) build the very same one.

MobileNetV1-0.5 (Howard et al. 2017, arXiv:1704.04861) to strides 8, 16 and 32; a PAN neck (Liu et al. 2018,
arXiv:1803.01534) that adds instead of concatenating; decoupled anchor-free heads in the manner of FCOS
(Tian et al. 2019, arXiv:1904.01355). Only operations that are fast in int8 everywhere. Computes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

STRIDES = (8, 16, 32)
IMAGE = "image"
INPUT_SCALE = 1 / 128  # of a step of a pixel: the network sees (pixel - 128) / 128, as MobileNet does
# (output channels, stride) of the 13 depthwise-separable blocks of MobileNetV1 at width 0.5.
_BLOCKS = ((32, 1), (64, 2), (64, 1), (128, 2), (128, 1), (256, 2), *((256, 1),) * 5, (512, 2), (512, 1))
_TAPS = {8: "pw5", 16: "pw11", 32: "pw13"}


@dataclass(frozen=True, slots=True)
class Node:
    """One operation.

    Attributes:
        name: unique; of a weighted node also the name of its weights.
        op: `conv`, `depthwise` (one filter a channel), `add`, `up` (nearest, twice as large).
        inputs: names of the nodes read, or `IMAGE`.
        channels: output channels.
        kernel: side of the filter.
        stride: 1 or 2; at 2 padding is bottom and right (TensorFlow's SAME at even sides).
        plain: True = bias and no activation; False = batch norm and ReLU6.
    """

    name: str
    op: Literal["conv", "depthwise", "add", "up"]
    inputs: tuple[str, ...]
    channels: int
    kernel: int = 1
    stride: int = 1
    plain: bool = False

    @property
    def is_weighted(self) -> bool:
        """Whether the node has weights."""
        return self.op in ("conv", "depthwise")

    @property
    def is_backbone(self) -> bool:
        """Whether the node's weights can come from an ImageNet MobileNet."""
        return self.name == "conv0" or self.name.startswith(("dw", "pw"))


def outputs() -> tuple[str, ...]:
    """Names of the six output nodes: score and box of each stride."""
    return tuple(f"{what}{stride}" for stride in STRIDES for what in ("score", "box"))


def layout(classes: int, neck_channels: int) -> tuple[Node, ...]:
    """All nodes in an order in which each comes after its inputs.

    Outputs are logits of shape (classes) and raw left, top, right, bottom distances in units of the stride.
    """
    nodes = list(_backbone())
    nodes += _neck(neck_channels)
    for stride in STRIDES:
        nodes += _head(stride, classes, neck_channels)
    return tuple(nodes)


def _backbone() -> list[Node]:
    nodes = [Node("conv0", "conv", (IMAGE,), 16, 3, 2)]
    for number, (channels, stride) in enumerate(_BLOCKS, start=1):
        before = nodes[-1]
        nodes.append(Node(f"dw{number}", "depthwise", (before.name,), before.channels, 3, stride))
        nodes.append(Node(f"pw{number}", "conv", (f"dw{number}",), channels))
    return nodes


def _neck(width: int) -> list[Node]:
    lateral = [Node(f"lat{stride}", "conv", (_TAPS[stride],), width) for stride in STRIDES]
    return [
        *lateral,
        *_merge_down("16", "lat32", width),
        *_merge_down("8", "top16", width),
        *_merge_up("16", "top8", "top16", width),
        *_merge_up("32", "out16", "lat32", width),
    ]


def _merge_down(stride: str, coarse: str, width: int) -> list[Node]:
    return [
        Node(f"up{stride}", "up", (coarse,), width),
        Node(f"topsum{stride}", "add", (f"lat{stride}", f"up{stride}"), width),
        Node(f"top{stride}", "conv", (f"topsum{stride}",), width, 3),
    ]


def _merge_up(stride: str, fine: str, same: str, width: int) -> list[Node]:
    return [
        Node(f"down{stride}", "depthwise", (fine,), width, 3, 2),
        Node(f"downmix{stride}", "conv", (f"down{stride}",), width),
        Node(f"outsum{stride}", "add", (same, f"downmix{stride}"), width),
        Node(f"out{stride}", "conv", (f"outsum{stride}",), width, 3),
    ]


def _head(stride: int, classes: int, width: int) -> list[Node]:
    feature = "top8" if stride == STRIDES[0] else f"out{stride}"
    return [
        Node(f"scoreconv{stride}", "conv", (feature,), width, 3),
        Node(f"score{stride}", "conv", (f"scoreconv{stride}",), classes, plain=True),
        Node(f"boxconv{stride}", "conv", (feature,), width, 3),
        Node(f"box{stride}", "conv", (f"boxconv{stride}",), 4, plain=True),
    ]
