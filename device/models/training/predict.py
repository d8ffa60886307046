"""A network's detections on a picture, for evaluation. It never trains."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from device.models.training.augment import letterbox
from device.models.training.evaluate import Answer, suppressed
from device.models.training.network import Network, boxes_of, cells
from device.models.training.pictures import Picture


def float_detector(network: Network, size: int, iou: float) -> Callable[[Picture], list[Answer]]:
    """A function from picture to detections by `network` in float32 at `size` pixels."""
    network.eval()
    centres, strides = cells(size)

    def detect(picture: Picture) -> list[Answer]:
        square = torch.from_numpy(letterbox(picture, size).pixels).permute(2, 0, 1)[None]
        with torch.inference_mode():
            logits, distances = network((square.float() - 128) / 128)
            boxes = boxes_of(distances.clamp(min=0), centres, strides)
        return suppressed(logits[0].sigmoid().numpy(), unletterboxed(boxes[0].numpy(), picture, size), iou)

    return detect


def unletterboxed(boxes: np.ndarray, picture: Picture, size: int) -> np.ndarray:
    """Boxes (A,4) in pixels of the square as 0..1 of the picture, clipped."""
    height, width = picture.pixels.shape[:2]
    scale = size / max(height, width)
    shift = np.array([(size - width * scale) // 2, (size - height * scale) // 2] * 2, np.float32)
    inside: np.ndarray = (boxes - shift) / (np.array([width, height] * 2, np.float32) * scale)
    return inside.clip(0, 1)
