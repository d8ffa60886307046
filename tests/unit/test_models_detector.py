"""The whole road of one frame through real `.tflite` files whose outputs are known."""

from __future__ import annotations

from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from device.errors import ModelUnavailable
from device.models.bundle import Bundle, load_bundle
from device.models.detector import Detector
from device.models.labels import CLASSES, COCO_80, COCO_90
from hardware.camera.frame import Frame, rgb_to_i420
from tests.tiny_tflite import Constant, tiny_tflite

WIDE = np.full((40, 80, 3), 90, np.uint8)


def frame_of(pixels: np.ndarray = WIDE, layout: str = "rgb") -> Frame:
    height, width = pixels.shape[:2]
    return Frame(pixels if layout == "rgb" else rgb_to_i420(pixels), layout, width, height, 0.0, 0.0, 0)


def bundle_of(tmp_path: Path, *outputs: Constant, labels: tuple[str, ...] = ()) -> Bundle:
    file = tmp_path / "bare.tflite"
    file.write_bytes(tiny_tflite(list(outputs), size=64))
    return load_bundle(file, labels=labels)


def yolov5_uint8() -> Constant:
    """Two boxes on one bus and one on a person, in 0..1 of a 64x64 letterbox."""
    real = np.zeros((1, 252, 85))
    for row, label, objectness, box in (
        (10, "bus", 0.9, [0.5, 0.5, 0.5, 0.25]),
        (11, "bus", 0.8, [0.51, 0.5, 0.5, 0.25]),
        (12, "person", 0.7, [0.125, 0.375, 0.25, 0.25]),
    ):
        real[0, row, :5] = [*box, objectness]
        real[0, row, 5 + COCO_80.index(label)] = 1.0
    return Constant("out", np.rint(real * 200).astype(np.uint8), 1 / 200)


@pytest.mark.parametrize("layout", ["rgb", "i420"])
def test_yolov5_uint8_comes_out_in_parts_of_the_original(tmp_path: Path, layout: str) -> None:
    found = Detector(bundle_of(tmp_path, yolov5_uint8())).detect(frame_of(layout=layout))
    assert [CLASSES[number] for number in found.classes] == ["bus", "person"]
    assert found.scores == pytest.approx([0.9, 0.7], abs=0.005)
    assert found.boxes[0].tolist() == pytest.approx([0.25, 0.25, 0.75, 0.75], abs=0.01)
    assert found.boxes[1].tolist() == pytest.approx([0.0, 0.0, 0.25, 0.5], abs=0.02)
    assert (found.classes.dtype, found.scores.dtype, found.boxes.dtype) == (np.int64, np.float32, np.float32)


def ssd(order: tuple[int, ...] = (0, 1, 2, 3)) -> list[Constant]:
    boxes = np.array([[[0.1, 0.2, 0.5, 0.6], [0.1, 0.2, 0.5, 0.61]]], np.float32)
    classes = np.full((1, 2), COCO_90.index("truck"), np.float32)
    arrays = [boxes, classes, np.array([[0.6, 0.5]], np.float32), np.array([2], np.float32)]
    return [Constant(f"o{number}", arrays[number]) for number in order]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (2, 0, 3, 1)])
def test_ssd_boxes_are_stretched_and_not_suppressed_again(tmp_path: Path, order: tuple[int, ...]) -> None:
    found = Detector(bundle_of(tmp_path, *ssd(order))).detect(frame_of())
    assert [CLASSES[number] for number in found.classes] == ["truck", "truck"]
    assert found.boxes[0].tolist() == pytest.approx([0.2, 0.1, 0.6, 0.5])


def test_nan_scores_are_dropped_and_counted(tmp_path: Path) -> None:
    outputs = ssd()
    outputs[2].values[0, 0] = np.nan
    detector = Detector(bundle_of(tmp_path, *outputs))
    found = detector.detect(frame_of())
    assert found.scores.tolist() == [0.5]
    assert detector.dropped_not_finite == 1
    detector.detect(frame_of())
    assert detector.dropped_not_finite == 2


def test_a_picture_of_one_pixel_is_looked_at(tmp_path: Path) -> None:
    found = Detector(bundle_of(tmp_path, yolov5_uint8())).detect(frame_of(np.zeros((1, 1, 3), np.uint8)))
    assert np.isfinite(found.boxes).all()
    assert ((found.boxes >= 0) & (found.boxes <= 1)).all()


def test_at_most_300_boxes_leave_a_frame(tmp_path: Path) -> None:
    y, x = np.divmod(np.arange(525), 25)
    real = np.full((1, 84, 525), 100, np.uint8)
    real[0, 0], real[0, 1], real[0, 2:4] = x * 8, y * 8, 1
    file = tmp_path / "many.tflite"
    file.write_bytes(tiny_tflite([Constant("out", real, 1 / 200)], size=160))
    found = Detector(load_bundle(file)).detect(frame_of(np.zeros((64, 64, 3), np.uint8)))
    assert len(found) == 300


def test_thresholds_of_the_caller_come_before_those_of_the_card(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, yolov5_uint8())
    assert len(Detector(bundle, conf=0.85).detect(frame_of())) == 1
    assert len(Detector(bundle, iou=0.99).detect(frame_of())) == 3
    assert len(Detector(bundle, conf=0.95).detect(frame_of())) == 0


def test_a_file_that_was_exchanged_after_its_check_is_not_run(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, yolov5_uint8())
    bundle.path.write_bytes(tiny_tflite(ssd(), size=64))
    with pytest.raises(ModelUnavailable, match="exchanged"):
        Detector(bundle)


def test_the_time_of_each_stage_is_measured(tmp_path: Path) -> None:
    detector = Detector(bundle_of(tmp_path, yolov5_uint8()))
    detector.detect(frame_of())
    assert detector.times.beyond_invoke_ms > 0
    assert detector.times.invoke_ms >= detector.last_invoke_ms > 0


@pytest.mark.parametrize("change", [{"width": 96}, {"dtype": "int8"}, {"scale": 0.5}, {"zero_point": 3}])
def test_a_card_that_says_another_input_than_the_model_has_is_refused(tmp_path: Path, change: dict) -> None:
    bundle = bundle_of(tmp_path, yolov5_uint8())
    wrong = msgspec.structs.replace(bundle.card, input=msgspec.structs.replace(bundle.card.input, **change))
    with pytest.raises(ModelUnavailable, match=r"the card says .*correct \[input\]"):
        Detector(Bundle(bundle.path, wrong, bundle.sha256))


def test_our_own_model_sees_the_same_in_both_layouts() -> None:
    detector = Detector(load_bundle("street-2", int8_only=True), conf=0.05)
    y, x = np.mgrid[:240, :320]
    pixels = np.stack([x * 255 // 320, y * 255 // 240, (x // 20 + y // 20) % 2 * 90 + 60], 2).astype(np.uint8)
    pixels[100:200, 60:160] = (30, 30, 40)
    rgb, planar = (detector.detect(frame_of(pixels, layout)) for layout in ("rgb", "i420"))
    assert len(rgb) == len(detector.detect(frame_of(pixels)))
    assert abs(len(rgb) - len(planar)) <= max(3, len(rgb) // 3)


def test_an_opencv_that_cannot_suppress_class_by_class_is_refused_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(cv2.dnn, "NMSBoxesBatched")
    with pytest.raises(ModelUnavailable, match=r"too old to run it with.*4\.10"):
        Detector(load_bundle("street-2"))
