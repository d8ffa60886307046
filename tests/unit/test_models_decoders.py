"""Each layout is built by hand from known boxes and must be read back, in every type it comes in."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from device.errors import ModelUnavailable
from device.models.bundle import Card, InputCard
from device.models.candidates import Candidates
from device.models.decoders import Decoder, make_decoder
from device.models.labels import CLASSES, COCO_80, COCO_90
from device.models.quantise import TensorSpec, quantise

NOWHERE = Path("model.tflite")
SIZE = 64
CELLS = 100
BOX = (0.25, 0.125, 0.75, 0.5)
UINT8 = (np.dtype(np.uint8), 1 / 255, 0)
INT8 = (np.dtype(np.int8), 1 / 255, -128)
FLOAT = (np.dtype(np.float32), 0.0, 0)
KINDS = pytest.mark.parametrize("kind", [UINT8, INT8, FLOAT], ids=["uint8", "int8", "float32"])


def card_of(decoder: str, labels: tuple[str, ...] = COCO_80) -> Card:
    shape = InputCard(width=SIZE, height=SIZE, dtype="uint8", scale=1 / 255)
    return Card(name="t", version="0", labels=list(labels), decoder=decoder, input=shape)


def encoded(
    real: np.ndarray, kind: tuple, name: str = "out", index: int = 0
) -> tuple[np.ndarray, TensorSpec]:
    spec = TensorSpec(name, real.shape, kind[0], kind[1], kind[2], index)
    return (quantise(real, spec) if spec.is_quantised else real.astype(np.float32)), spec


def centred(box: tuple[float, ...]) -> list[float]:
    left, top, right, bottom = box
    return [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]


def assert_is(found: Candidates, name: str, score: float, box: tuple[float, ...] = BOX) -> None:
    assert [CLASSES[number] for number in found.classes] == [name]
    assert found.scores == pytest.approx([score], abs=0.005)
    assert found.boxes[0].tolist() == pytest.approx(list(box), abs=0.005)
    assert (found.classes.dtype, found.scores.dtype, found.boxes.dtype) == (np.int64, np.float32, np.float32)


def yolov8(score: float = 0.8, label: str = "truck") -> np.ndarray:
    real = np.zeros((1, 4 + len(COCO_80), CELLS), np.float32)
    real[0, :2] = 0.5
    real[0, :4, 30] = centred(BOX)
    real[0, 4 + COCO_80.index(label), 30] = score
    return real


def decoded(real: np.ndarray, kind: tuple, decoder: str, conf: float = 0.25) -> Candidates:
    values, spec = encoded(real, kind)
    return make_decoder(NOWHERE, card_of(decoder), [spec]).decode([values], conf)


@KINDS
def test_yolov8_boxes_are_read(kind: tuple) -> None:
    assert_is(decoded(yolov8(), kind, "yolov8"), "truck", 0.8)


@KINDS
def test_yolov8_may_be_transposed(kind: tuple) -> None:
    assert_is(decoded(np.ascontiguousarray(yolov8().transpose(0, 2, 1)), kind, "yolov8"), "truck", 0.8)


def test_yolov8_boxes_may_be_in_pixels() -> None:
    real = yolov8()
    real[0, :4] *= SIZE
    assert_is(decoded(real, FLOAT, "yolov8"), "truck", 0.8)
    pixels = (np.dtype(np.uint8), 0.25, 0)
    real[0, 4:] = np.where(real[0, 4:] > 0, 1.0, 0.0)
    assert_is(decoded(real, pixels, "yolov8"), "truck", 1.0)


def test_yolov8_floor_of_one_in_a_thousand_keeps_the_least_step() -> None:
    real = yolov8(score=1 / 255)
    found = decoded(real, INT8, "yolov8", conf=0.001)
    assert_is(found, "truck", 1 / 255)


def test_a_class_that_is_not_ours_is_not_detected() -> None:
    assert len(decoded(yolov8(label="giraffe"), INT8, "yolov8").scores) == 0


def test_a_candidate_takes_the_surest_of_our_classes() -> None:
    real = yolov8()
    real[0, 4 + COCO_80.index("car"), 30] = 0.9
    real[0, 4 + COCO_80.index("train"), 30] = 0.95
    assert_is(decoded(real, INT8, "yolov8"), "car", 0.9)


def yolov5(rows: int = 3 * CELLS) -> np.ndarray:
    real = np.zeros((1, rows, 5 + len(COCO_80)), np.float32)
    real[0, :, :2] = 0.5
    real[0, 40, :4] = centred(BOX)
    real[0, 40, 4] = 0.9
    real[0, 40, 5 + COCO_80.index("bus")] = 0.8
    return real


@KINDS
def test_yolov5_score_is_objectness_times_class(kind: tuple) -> None:
    assert_is(decoded(yolov5(), kind, "yolov5"), "bus", 0.72)


@KINDS
def test_yolov5_below_the_floor_after_the_product_is_dropped(kind: tuple) -> None:
    assert len(decoded(yolov5(), kind, "yolov5", conf=0.75).scores) == 0


def test_yolov5_boxes_may_be_in_pixels_and_transposed() -> None:
    real = yolov5()
    real[0, :, :4] *= SIZE
    assert_is(decoded(np.ascontiguousarray(real.transpose(0, 2, 1)), FLOAT, "yolov5"), "bus", 0.72)


@pytest.mark.parametrize("decoder", ["yolov8", "yolov5"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinite_scores_are_dropped_and_counted(decoder: str, bad: float) -> None:
    real = yolov8() if decoder == "yolov8" else yolov5()
    if decoder == "yolov8":
        real[0, 4, 7] = bad
        real[0, 4 + COCO_80.index("car"), 30] = bad
    else:
        real[0, 7, 4] = bad
        real[0, 40, 5 + COCO_80.index("car")] = bad
    found = decoded(real, FLOAT, decoder)
    assert [CLASSES[number] for number in found.classes] == ["truck" if decoder == "yolov8" else "bus"]
    assert found.dropped == 2


def test_a_box_that_is_not_finite_is_dropped_and_counted() -> None:
    real = yolov8()
    real[0, 2, 30] = np.nan
    found = decoded(real, FLOAT, "yolov8")
    assert (len(found.scores), found.dropped) == (0, 1)


def ssd_outputs() -> list[np.ndarray]:
    """Boxes, classes, scores, count; the third row is beyond the count."""
    left, top, right, bottom = BOX
    boxes = np.array([[[top, left, bottom, right]] * 3], np.float32)
    classes = np.array([[COCO_90.index("car"), COCO_90.index("giraffe"), 0]], np.float32)
    return [boxes, classes, np.array([[0.7, 0.6, 0.9]], np.float32), np.array([2], np.float32)]


def ssd_specs(arrays: list[np.ndarray]) -> list[TensorSpec]:
    return [TensorSpec(f"o{n}", one.shape, one.dtype, index=n) for n, one in enumerate(arrays)]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (2, 0, 3, 1), (0, 2, 1, 3), (3, 2, 1, 0)])
def test_ssd_outputs_are_found_in_any_order(order: tuple[int, ...]) -> None:
    arrays = [ssd_outputs()[number] for number in order]
    decoder = make_decoder(NOWHERE, card_of("ssd-postprocess", COCO_90), ssd_specs(arrays))
    assert_is(decoder.decode(arrays, 0.25), "car", 0.7)


def test_ssd_outputs_are_taken_as_the_graph_tells() -> None:
    arrays = ssd_outputs()
    arrays[2][:] = 1.0
    specs = ssd_specs(arrays)
    decoder = make_decoder(NOWHERE, card_of("ssd-postprocess", COCO_90), specs, (0, 1, 2, 3))
    assert_is(decoder.decode(arrays, 0.25), "car", 1.0)


def test_ssd_overlaps_are_not_suppressed_twice() -> None:
    arrays = ssd_outputs()
    assert not make_decoder(NOWHERE, card_of("ssd-postprocess"), ssd_specs(arrays)).needs_nms


def test_ssd_nan_scores_are_dropped_and_counted() -> None:
    arrays = ssd_outputs()
    arrays[2][0, 1] = np.nan
    found = make_decoder(NOWHERE, card_of("ssd-postprocess", COCO_90), ssd_specs(arrays), (0, 1, 2, 3))
    candidates = found.decode(arrays, 0.25)
    assert_is(candidates, "car", 0.7)
    assert candidates.dropped == 1


@pytest.mark.parametrize("count", [np.nan, -5, 1e9, np.inf])
def test_ssd_with_a_senseless_count_does_not_fail(count: float) -> None:
    arrays = ssd_outputs()
    arrays[3][:] = count
    decoder = make_decoder(NOWHERE, card_of("ssd-postprocess", COCO_90), ssd_specs(arrays), (0, 1, 2, 3))
    assert len(decoder.decode(arrays, 0.25).scores) in (0, 2)


def test_ssd_with_a_class_number_that_nobody_has_is_dropped() -> None:
    arrays = ssd_outputs()
    arrays[1][0, 0] = 4000
    decoder = make_decoder(NOWHERE, card_of("ssd-postprocess", COCO_90), ssd_specs(arrays), (0, 1, 2, 3))
    assert len(decoder.decode(arrays, 0.25).scores) == 0


def pehra(kind: tuple) -> tuple[list[np.ndarray], list[TensorSpec], Decoder]:
    """One bus of stride 16, whose cell centre is (24, 24) of 64 pixels; sides 1, 0.5, 0.25, 0.5 strides."""
    arrays, specs = [], []
    for stride in (32, 8, 16):
        side = SIZE // stride
        scores = np.zeros((1, side, side, 6), np.float32)
        boxes = np.zeros((1, side, side, 4), np.float32)
        if stride == 16:
            scores[0, 1, 1] = [0.1, 0, 0, 0.4, 0.9, 0]
            boxes[0, 1, 1] = [1, 0.5, 0.25, 0.5]
        for real, name in ((scores, "scores"), (boxes, "boxes")):
            values, spec = encoded(real, kind, f"{name}{stride}", len(arrays))
            arrays.append(values)
            specs.append(spec)
    return arrays, specs, make_decoder(NOWHERE, card_of("pehra-ltrb", CLASSES), specs)


@KINDS
def test_our_own_head_is_read(kind: tuple) -> None:
    arrays, _, decoder = pehra(kind)
    assert_is(decoder.decode(arrays, 0.25), "bus", 0.9, (8 / 64, 16 / 64, 28 / 64, 32 / 64))


def test_our_own_head_without_a_sure_cell_gives_nothing() -> None:
    arrays, _, decoder = pehra(INT8)
    assert len(decoder.decode(arrays, 0.95).scores) == 0


def test_our_own_head_drops_and_counts_nan() -> None:
    arrays, specs, decoder = pehra(FLOAT)
    at = next(n for n, spec in enumerate(specs) if spec.name == "scores8")
    arrays[at][0, 0, 0, 0] = np.nan
    found = decoder.decode(arrays, 0.25)
    assert [CLASSES[number] for number in found.classes] == ["bus"]
    assert found.dropped == 1


def test_an_unknown_decoder_is_named_with_those_there_are() -> None:
    with pytest.raises(ModelUnavailable, match=r"`detr` is unknown.*yolov8"):
        make_decoder(NOWHERE, card_of("detr"), [])


@pytest.mark.parametrize("decoder", ["yolov8", "yolov5", "ssd-postprocess", "pehra-ltrb"])
def test_outputs_that_do_not_fit_the_decoder_are_refused(decoder: str) -> None:
    spec = TensorSpec("out", (1, 1001), np.dtype(np.uint8), 1 / 256)
    card = msgspec.structs.replace(card_of(decoder), labels=list(CLASSES))
    with pytest.raises(ModelUnavailable, match="are not those of decoder"):
        make_decoder(NOWHERE, card, [spec])
