"""The shipped detector beside a well-known one on the same frames, one thread, in turns."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from device.models.bundle import load_bundle
from device.models.detector import Detector
from hardware.camera.frame import Frame
from hardware.camera.street import Street
from tests.bench.table import Row

PEER = "yolov8n_full_integer_quant_416.tflite"
FRAMES = 200


def measure(data: Path) -> list[Row]:
    """Detect with both models on every frame, one after the other, so that both meet the same machine."""
    street = Street(12, 640, 480)
    ours = Detector(load_bundle("street-1"), threads=1)
    peer_file = data / "models" / PEER
    peer = Detector(load_bundle(peer_file), threads=1) if peer_file.is_file() else None
    invoke: dict[str, list[float]] = {"ours": [], "peer": []}
    for number in range(FRAMES):
        frame = Frame(street.render(number / 5), "rgb", 640, 480, number / 5, 0.0, number)
        ours.detect(frame)
        invoke["ours"].append(ours.last_invoke_ms)
        if peer is not None:
            peer.detect(frame)
            invoke["peer"].append(peer.last_invoke_ms)
    if peer is None:
        return [_row("street-1", invoke["ours"], f"{PEER} is not here: set PEHRA_DATA", "")]
    ratio = np.median(invoke["ours"]) / np.median(invoke["peer"])
    return [_row("street-1", invoke["ours"], f"YOLOv8n int8 416: {_text(invoke['peer'])}", f"{ratio:.2f}")]


def _row(name: str, taken: list[float], beside: str, ratio: str) -> Row:
    return Row(f"detector {name}, invoke, 1 thread, p50 / p95", _text(taken), beside, ratio)


def _text(taken: list[float]) -> str:
    return f"{np.median(taken):.2f} / {np.percentile(taken, 95):.2f} ms"
