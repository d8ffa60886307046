"""The layout as a torch module. It holds weights and computes outputs; it never trains itself."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from device.models.training.layout import IMAGE, STRIDES, Node, layout, outputs

_PRIOR = 0.01  # score that every cell starts with (Lin et al. 2017, arXiv:1708.02002, 4.1)
_FIRST_DISTANCE_STRIDES = 2.0  # box distance that every cell starts with


class Weighted(nn.Module):  # type: ignore[misc]
    """A convolution with batch norm and ReLU6, or a plain one with bias."""

    def __init__(self, node: Node, channels_in: int) -> None:
        super().__init__()
        self.pad = node.kernel // 2 if node.stride == 1 else 0
        self.is_padded_at_end = node.stride == 2
        self.conv = nn.Conv2d(
            channels_in,
            node.channels,
            node.kernel,
            node.stride,
            self.pad,
            groups=channels_in if node.op == "depthwise" else 1,
            bias=node.plain,
        )
        self.norm = None if node.plain else nn.BatchNorm2d(node.channels, eps=1e-3, momentum=0.03)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B,Cin,H,W) to (B,Cout,H/stride,W/stride)."""
        if self.is_padded_at_end:
            x = functional.pad(x, (0, 1, 0, 1))
        x = self.conv(x)
        return x if self.norm is None else functional.relu6(self.norm(x))


class Network(nn.Module):  # type: ignore[misc]
    """Our detector.

    Input (B,3,S,S) float, RGB, (pixel - 128) / 128. Output: for each cell of all strides, fine first and row
    by row, logits (B,A,C) and distances left, top, right, bottom in units of the cell's stride (B,A,4).
    """

    def __init__(self, classes: int, neck_channels: int) -> None:
        super().__init__()
        self.classes = classes
        self.nodes = layout(classes, neck_channels)
        channels = {IMAGE: 3} | {node.name: node.channels for node in self.nodes}
        self.weighted = nn.ModuleDict(
            {node.name: Weighted(node, channels[node.inputs[0]]) for node in self.nodes if node.is_weighted}
        )
        for stride in STRIDES:
            for what, bias in (("score", -math.log((1 - _PRIOR) / _PRIOR)), ("box", _FIRST_DISTANCE_STRIDES)):
                conv = self.weighted[f"{what}{stride}"].conv
                nn.init.normal_(conv.weight, std=0.01)
                nn.init.constant_(conv.bias, bias)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (B,A,C) and distances (B,A,4), float32."""
        values = self.values(image)
        flat = [values[name].flatten(2).transpose(1, 2).float() for name in outputs()]
        return torch.cat(flat[0::2], 1), torch.cat(flat[1::2], 1)

    def values(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """The value of each node."""
        values = {IMAGE: image}
        for node in self.nodes:
            values[node.name] = self.compute(node, [values[name] for name in node.inputs])
        return values

    def compute(self, node: Node, inputs: list[torch.Tensor]) -> torch.Tensor:
        """The value of one node from those of its inputs."""
        if node.op == "add":
            return inputs[0] + inputs[1]
        if node.op == "up":
            return functional.interpolate(inputs[0], scale_factor=2.0, mode="nearest")
        return self.weighted[node.name](inputs[0])


def cells(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Centres (A,2) in pixels and strides (A,) of a square input's cells, in the order of the outputs."""
    centres, strides = [], []
    for stride in STRIDES:
        axis = (torch.arange(size // stride) + 0.5) * stride
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        centres.append(torch.stack((x, y), -1).reshape(-1, 2))
        strides.append(torch.full((centres[-1].shape[0],), float(stride)))
    return torch.cat(centres), torch.cat(strides)


def boxes_of(distances: torch.Tensor, centres: torch.Tensor, strides: torch.Tensor) -> torch.Tensor:
    """Boxes (...,A,4) left, top, right, bottom in pixels from distances (...,A,4) in strides."""
    scaled = distances * strides[:, None]
    return torch.cat((centres - scaled[..., :2], centres + scaled[..., 2:]), -1)
