from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from device.errors import ModelUnavailable
from device.models.bundle import Bundle, load_bundle
from device.models.interpreter import PostProcess
from device.models.labels import CLASSES, COCO_80, COCO_90
from device.models.quantise import TensorSpec
from device.models.recognise import recognise_layout
from tests.tiny_tflite import Constant, tiny_tflite


def spec_of(*shape: int) -> TensorSpec:
    return TensorSpec("t", shape, np.dtype(np.uint8), 1 / 255)


@pytest.mark.parametrize(
    ("size", "shape", "layout"),
    [
        (416, (1, 84, 3549), ("yolov8", 80)),
        (640, (1, 84, 8400), ("yolov8", 80)),
        (640, (1, 8400, 84), ("yolov8", 80)),
        (320, (1, 10, 2100), ("yolov8", 6)),
        (320, (1, 6300, 85), ("yolov5", 80)),
        (640, (1, 25200, 85), ("yolov5", 80)),
        (640, (1, 25200, 11), ("yolov5", 6)),
        (640, (1, 85, 25200), ("yolov5", 80)),
        (1280, (1, 102000, 85), ("yolov5", 80)),
        (64, (1, 84, 84), ("yolov8", 80)),
        (64, (1, 252, 85), ("yolov5", 80)),
        (1280, (1, 84, 34000), ("yolov8", 80)),
        (300, (1, 84, 999), ("yolov8", 80)),
        (300, (1, 999, 85), ("yolov5", 80)),
        (640, (1, 300, 6), None),
        (640, (1, 100, 6), None),
        (640, (1, 25200, 6), ("yolov5", 1)),
        (640, (1, 25000, 6), None),
        (300, (1, 999, 11), None),
        (224, (1, 1001), None),
        (224, (1, 224, 224, 21), None),
    ],
)
def test_layouts_are_told_by_their_shapes(
    size: int, shape: tuple[int, ...], layout: tuple[str, int] | None
) -> None:
    assert recognise_layout(spec_of(1, size, size, 3), [spec_of(*shape)], None) == layout


def test_a_rectangular_input_is_counted_by_both_its_sides() -> None:
    assert recognise_layout(spec_of(1, 384, 640, 3), [spec_of(1, 84, 5040)], None) == ("yolov8", 80)


def test_our_own_head_is_told_by_its_six_grids() -> None:
    outputs = [spec_of(1, 320 // s, 320 // s, depth) for depth in (5, 4) for s in (32, 8, 16)]
    assert recognise_layout(spec_of(1, 320, 320, 3), outputs, None) == ("pehra-ltrb", 5)
    assert recognise_layout(spec_of(1, 320, 320, 3), outputs[:5], None) is None


def test_ssd_is_told_by_its_graph_or_by_its_four_outputs() -> None:
    outputs = [spec_of(1, 10), spec_of(1), spec_of(1, 10, 4), spec_of(1, 10)]
    image = spec_of(1, 300, 300, 3)
    assert recognise_layout(image, outputs, PostProcess((2, 0, 3, 1), 91)) == ("ssd-postprocess", 91)
    assert recognise_layout(image, outputs, None) == ("ssd-postprocess", None)


def written(tmp_path: Path, *outputs: Constant, inside: dict[str, str] | None = None, size: int = 32) -> Path:
    content = tiny_tflite(list(outputs), size=size)
    if inside:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as packed:
            for name, text in inside.items():
                packed.writestr(name, text)
        content += archive.getvalue()
    file = tmp_path / "bare.tflite"
    file.write_bytes(content)
    return file


def yolo(classes: int, decoder: str = "yolov8") -> Constant:
    shape = (1, 4 + classes, 21) if decoder == "yolov8" else (1, 63, 5 + classes)
    return Constant("out", np.zeros(shape, np.uint8), 1 / 255)


def ssd() -> list[Constant]:
    shapes = [(1, 10, 4), (1, 10), (1, 10), (1,)]
    return [Constant(f"o{n}", np.zeros(shape, np.float32)) for n, shape in enumerate(shapes)]


def labels_of(bundle: Bundle) -> tuple[str, ...]:
    return tuple(bundle.card.labels)


@pytest.mark.parametrize("decoder", ["yolov8", "yolov5"])
@pytest.mark.parametrize(("classes", "labels"), [(80, COCO_80), (6, CLASSES)])
def test_labels_are_guessed_by_their_number(
    tmp_path: Path, decoder: str, classes: int, labels: tuple[str, ...]
) -> None:
    bundle = load_bundle(written(tmp_path, yolo(classes, decoder)))
    assert (bundle.card.decoder, labels_of(bundle)) == (decoder, labels)
    assert any("labels guessed" in sentence for sentence in bundle.guessed)
    assert bundle.card.input.resize == "letterbox"


def test_ssd_stretches_and_numbers_by_coco_category(tmp_path: Path) -> None:
    bundle = load_bundle(written(tmp_path, *ssd()))
    assert (bundle.card.input.resize, labels_of(bundle)) == ("stretch", COCO_90)


@pytest.mark.parametrize("name", ["bare.txt", "labels.txt", "bare_labels.txt", "labelmap.txt"])
def test_a_label_file_beside_the_model_is_honoured(tmp_path: Path, name: str) -> None:
    file = written(tmp_path, yolo(2))
    (tmp_path / name).write_text("0 bus\n1 cat\n")
    assert labels_of(load_bundle(file)) == ("bus", "cat")


def test_the_background_line_of_an_ssd_label_file_is_left_out(tmp_path: Path) -> None:
    file = written(tmp_path, *ssd())
    (tmp_path / "labelmap.txt").write_text("???\nperson\nbicycle\n")
    assert labels_of(load_bundle(file)) == ("person", "bicycle")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("temp_meta.txt", "{'stride': 32, 'names': {1: 'car', 0: 'dog'}}"),
        ("metadata.json", '{"stride": 32, "names": {"0": "dog", "1": "car"}}'),
        ("labelmap.txt", "dog\ncar\n"),
    ],
)
def test_labels_inside_the_model_are_found(tmp_path: Path, name: str, text: str) -> None:
    assert labels_of(load_bundle(written(tmp_path, yolo(2), inside={name: text}))) == ("dog", "car")


def test_labels_given_by_the_caller_come_first(tmp_path: Path) -> None:
    file = written(tmp_path, yolo(2), inside={"labelmap.txt": "dog\ncar\n"})
    assert labels_of(load_bundle(file, labels=("truck", "bus"))) == ("truck", "bus")


def test_labels_that_cannot_be_told_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"put its labels.*bare.txt.*--labels"):
        load_bundle(written(tmp_path, yolo(3)))


def test_a_wrong_number_of_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="3 classes but 2 labels"):
        load_bundle(written(tmp_path, yolo(3)), labels=("person", "car"))


def test_a_model_that_knows_nothing_of_ours_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="none of its labels"):
        load_bundle(written(tmp_path, yolo(2)), labels=("cat", "dog"))


def test_a_classifier_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, Constant("out", np.zeros((1, 1001), np.uint8), 1 / 255))
    with pytest.raises(ModelUnavailable, match="not those of a detector"):
        load_bundle(file)


@pytest.mark.parametrize("rows", [300, 100])
def test_an_export_with_its_nms_inside_is_refused_and_the_way_out_named(tmp_path: Path, rows: int) -> None:
    file = written(tmp_path, Constant("out", np.zeros((1, rows, 6), np.float32)), size=640)
    with pytest.raises(ModelUnavailable, match="export without nms"):
        load_bundle(file, labels=("person",))


def test_a_damaged_archive_inside_is_passed_over(tmp_path: Path) -> None:
    file = written(tmp_path, yolo(80), inside={"temp_meta.txt": "{'names': ["})
    file.write_bytes(file.read_bytes()[:-30])
    assert labels_of(load_bundle(file)) == COCO_80
