"""The shipped detectors beside a well-known one on the same photographs, in turns: time and accuracy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from device.models.bundle import load_bundle
from device.models.detector import Detector
from device.models.evaluation import Dataset, Report, evaluate_together, load_dataset
from tests.bench.table import Row

OURS = ("street-2", "street-2-fast")
PEER = "yolov8n_full_integer_quant_416.tflite"
FLOOR = 0.01
STREET = ("bus", "car", "motorcycle", "person", "truck")
VOC = ("person", "bicycle", "motorcycle", "car", "bus")


def measure(data: Path) -> list[Row]:
    """Show every held-back photograph to all detectors in turns, so that all meet the same machine."""
    if not (data / "models" / PEER).is_file():
        return [Row("detectors", f"left out: {PEER} is not here", "set PEHRA_DATA")]
    bundles = [load_bundle(name) for name in (*OURS, data / "models" / PEER)]
    found = {
        name: [
            one.report
            for one in evaluate_together(
                [Detector(bundle, conf=FLOOR, threads=1) for bundle in bundles], dataset
            )
        ]
        for name, dataset in held_back(data).items()
    }
    return [
        row
        for number in range(len(OURS))
        for name, (*ours, peer) in found.items()
        for row in _rows(name, ours[number], peer)
    ]


def held_back(data: Path) -> dict[str, Dataset]:
    """What street-2 was not trained on: street/valid, and every tenth picture of voc by name."""
    voc = load_dataset(data / "voc", VOC)
    return {
        "street/valid": load_dataset(data / "street" / "valid", STREET),
        "voc, one in ten": replace(voc, pictures=voc.pictures[::10]),
    }


def _rows(pictures: str, ours: Report, peer: Report) -> list[Row]:
    """The time is shown once, with the first set of pictures."""
    timed = Row(
        f"detector {_named(ours)}: invoke, 1 thread, p50 / p95",
        f"{ours.invoke_ms_p50:.2f} / {ours.invoke_ms_p95:.2f} ms",
        f"YOLOv8n int8 {_named(peer)}: {peer.invoke_ms_p50:.2f} / {peer.invoke_ms_p95:.2f} ms",
        f"{ours.invoke_ms_p50 / peer.invoke_ms_p50:.2f}",
    )
    exact = Row(
        f"the same: mAP50 on {pictures}, {ours.images} pictures, {len(ours.classes)} classes",
        f"{ours.map50:.3f}",
        f"YOLOv8n: {peer.map50:.3f}",
        f"{ours.map50 / peer.map50:.2f}",
    )
    return [timed, exact] if pictures == "street/valid" else [exact]


def _named(report: Report) -> str:
    name = "" if report.model.startswith("yolo") else f"{report.model}, "
    return f"{name}{report.input[0]}, {report.size_bytes / 1e6:.2f} MB"
