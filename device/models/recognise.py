"""What a bare `.tflite` file is, told by its shapes and by what its maker left inside it.

Guesses a card and says what was guessed. It never guesses labels without a ground: a wrong label is
worse than a question.
"""

from __future__ import annotations

import ast
import io
import math
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from device.errors import ModelUnavailable
from device.models.bundle import DECODERS, Card, Dtype, InputCard, Thresholds
from device.models.interpreter import Interpreter, PostProcess
from device.models.labels import (
    CLASSES,
    COCO_80,
    COCO_90,
    NOT_OURS,
    class_of,
    parse_label_file,
    without_background,
)
from device.models.quantise import TensorSpec

_STRIDE_SETS = ((8, 16, 32), (8, 16, 32, 64), (16, 32))
_ANCHORS_A_CELL = 3
_SIDECARS = ("{stem}.txt", "{stem}_labels.txt", "{stem}-labels.txt", "labels.txt", "labelmap.txt")
_YOLO_IOU = 0.65
"""Between the 0.45 of YOLOv5's `detect` and the 0.7 of YOLOv8's: of 0.6, 0.65 and 0.7 the one whose mAP50
is nearest to both (YOLOv8n int8 on 480 street photos and 500 of VOC)."""
_MOST_END_TO_END = 300
_MOST_LABEL_BYTES = 1_000_000
_HOW_TO_LABEL = "put its labels, one a line, in {name} beside it, or name them with --labels"


def recognise(
    model_file: Path, content: bytes, labels: Sequence[str] = (), decoder: str = ""
) -> tuple[Card, tuple[str, ...]]:
    """Make a card for a file that came without one.

    Args:
        model_file: Where it lies; a label file beside it is honoured.
        content: Its bytes.
        labels: Its labels, where the caller knows them.
        decoder: Its layout, where the caller knows better than its shapes tell; needs the labels too.

    Returns:
        The card, and what was guessed, one sentence each.

    Raises:
        ModelUnavailable: It is not a detector of a known layout, or its labels cannot be told.
    """
    interpreter = Interpreter(model_file, content)
    image = interpreter.image_input
    layout = recognise_layout(image, interpreter.outputs, interpreter.postprocess)
    if decoder and (layout is None or layout[0] != decoder):
        layout = (decoder, len(labels) or None)
    if layout is None and any(_is_end_to_end(spec.shape) for spec in interpreter.outputs):
        raise ModelUnavailable(
            model_file,
            f"its output {interpreter.outputs[0].shape} holds boxes whose overlaps the graph already removed",
            "export without nms (Ultralytics: nms=False, end2end=False)",
        )
    if layout is None:
        raise ModelUnavailable(
            model_file,
            f"its outputs {[spec.shape for spec in interpreter.outputs]} are not those of a detector",
            f"give a model of one of these layouts: {', '.join(DECODERS)}",
        )
    decoder, class_count = layout
    names, said = _labels(model_file, content, labels, layout)
    resize = "stretch" if decoder == "ssd-postprocess" else "letterbox"
    card = Card(
        name=model_file.stem,
        version="0",
        labels=list(names),
        decoder=decoder,
        input=_input_card(model_file, image, resize),
        thresholds=Thresholds(iou=_YOLO_IOU),
        description="recognised by its shapes; no card came with it",
    )
    return card, (f"decoder {decoder} with {class_count or 'an unknown number of'} classes", resize, said)


def recognise_layout(
    image: TensorSpec, outputs: Sequence[TensorSpec], postprocess: PostProcess | None
) -> tuple[str, int | None] | None:
    """Decoder and number of classes of a model with these tensors, or None for no detector we know.

    Args:
        image: The input that takes the picture, NHWC.
        outputs: All outputs, in any order.
        postprocess: What the graph says of its SSD post-processing.

    Returns:
        The number of classes is None for SSD outputs whose graph does not tell it. An SSD graph with a
        background column counts it too: it cannot be told apart.
    """
    shapes = [spec.shape for spec in outputs]
    if postprocess is not None or _is_ssd(shapes):
        return "ssd-postprocess", None if postprocess is None else postprocess.class_columns
    if len(shapes) == 1 and len(shapes[0]) == 3 and shapes[0][0] == 1:
        return _yolo(shapes[0][1:], image.shape[1], image.shape[2])
    return _pehra(shapes, image.shape[1], image.shape[2])


def _is_end_to_end(shape: tuple[int, ...]) -> bool:
    """Whether an output is Ultralytics' after suppression: rows of box, score and class, 300 unless told."""
    return len(shape) == 3 and shape[0] == 1 and shape[1] <= _MOST_END_TO_END and shape[2] == 6


def _is_ssd(shapes: Sequence[tuple[int, ...]]) -> bool:
    boxes = [shape for shape in shapes if len(shape) == 3 and shape[0] == 1 and shape[2] == 4]
    if len(shapes) < 4 or len(boxes) != 1:
        return False
    has_count = any(math.prod(shape) == 1 for shape in shapes)
    return has_count and shapes.count((1, boxes[0][1])) >= 2


def _yolo(sides: tuple[int, ...], height: int, width: int) -> tuple[str, int] | None:
    """Tell v8 from v5 by the number of rows, which the input's size fixes; else by the usual forms.

    Few classes make a v5 only where the rows are three to a cell: any table with some columns looks like one.
    """
    if sides == (_MOST_END_TO_END, 6):
        return None
    found = [
        (decoder, columns - before)
        for strides in _STRIDE_SETS
        for rows, columns in (sides[::-1], sides)
        for decoder, anchors, before in (("yolov8", 1, 4), ("yolov5", _ANCHORS_A_CELL, 5))
        if columns > before and rows == anchors * _cells(height, width, strides)
    ]
    if found:
        # A tiny input may fit two ways; 80 classes are hardly a coincidence.
        return next((layout for layout in found if layout[1] == len(COCO_80)), found[0])
    if min(sides) == 4 + len(COCO_80) or (sides[0] < sides[1] and sides[0] > 4):
        return "yolov8", min(sides) - 4
    return ("yolov5", len(COCO_80)) if sides[1] == 5 + len(COCO_80) else None


def _cells(height: int, width: int, strides: tuple[int, ...]) -> int:
    return sum(math.ceil(height / stride) * math.ceil(width / stride) for stride in strides)


def _pehra(shapes: Sequence[tuple[int, ...]], height: int, width: int) -> tuple[str, int] | None:
    class_counts = set()
    for stride in (8, 16, 32):
        grid = (1, math.ceil(height / stride), math.ceil(width / stride))
        depths = sorted(shape[3] for shape in shapes if len(shape) == 4 and shape[:3] == grid)
        if len(depths) != 2 or 4 not in depths:
            return None
        class_counts.add(depths[0] if depths[1] == 4 else depths[1])
    return ("pehra-ltrb", class_counts.pop()) if len(shapes) == 6 and len(class_counts) == 1 else None


def _input_card(model_file: Path, image: TensorSpec, resize: str) -> InputCard:
    try:
        return InputCard(
            width=image.shape[2],
            height=image.shape[1],
            dtype=msgspec.convert(image.dtype.name, Dtype),
            scale=image.scale,
            zero_point=image.zero_point,
            resize="stretch" if resize == "stretch" else "letterbox",
        )
    except msgspec.ValidationError as error:
        raise ModelUnavailable(
            model_file, f"its input is {image.dtype.name}", "convert it with int8 or uint8 input"
        ) from error


def _labels(
    model_file: Path, content: bytes, given: Sequence[str], layout: tuple[str, int | None]
) -> tuple[tuple[str, ...], str]:
    """The labels, and where they are from: the caller, a file beside the model, the model, or its size."""
    found = (
        (tuple(given), "labels as given"),
        _beside(model_file),
        (_inside(content), "labels found inside the model"),
    )
    for candidates, said in found:
        if candidates:
            names = _fitted(model_file, candidates, said, layout)
            if all(class_of(name) == NOT_OURS for name in names):
                raise ModelUnavailable(
                    model_file,
                    f"none of its labels is one of Pehra's ({said}: {', '.join(names[:5])}...)",
                    f"give a model that knows at least one of {', '.join(CLASSES)}",
                )
            return names, said
    return _by_count(model_file, layout)


def _fitted(
    model_file: Path, names: tuple[str, ...], said: str, layout: tuple[str, int | None]
) -> tuple[str, ...]:
    """Labels without a background line; refused where their number is not that of the outputs."""
    decoder, class_count = layout
    if decoder == "ssd-postprocess":
        return without_background(names, None)
    names = without_background(names, class_count)
    if len(names) != class_count:
        raise ModelUnavailable(
            model_file, f"it has {class_count} classes but {len(names)} labels ({said})", "correct the labels"
        )
    return names


def _beside(model_file: Path) -> tuple[tuple[str, ...], str]:
    for pattern in _SIDECARS:
        sidecar = model_file.with_name(pattern.format(stem=model_file.stem))
        if sidecar.is_file() and sidecar.stat().st_size <= _MOST_LABEL_BYTES:
            text = sidecar.read_text(encoding="utf-8", errors="replace")
            return parse_label_file(text), f"labels from {sidecar.name}"
    return (), ""


def _inside(content: bytes) -> tuple[str, ...]:
    """Labels from the zip that TFLite Metadata and Ultralytics append to a model, if there are any."""
    for text in _texts_inside(content):
        names = _ultralytics_names(text) or parse_label_file(text)
        if len(names) > 1 or class_of("".join(names)) != NOT_OURS:
            return names
    return ()


def licence_inside(content: bytes) -> str:
    """The licence that Ultralytics writes into a model, or nothing."""
    said = (_ultralytics(text).get("license") for text in _texts_inside(content))
    return next((one for one in said if isinstance(one, str)), "")


def _texts_inside(content: bytes) -> list[str]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return [
                archive.read(entry).decode("utf-8", errors="replace")
                for entry in archive.infolist()
                if entry.file_size <= _MOST_LABEL_BYTES and entry.filename.endswith((".txt", ".json"))
            ]
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError):
        return []


def _ultralytics_names(text: str) -> tuple[str, ...]:
    names = _ultralytics(text).get("names", ())
    try:
        if isinstance(names, dict):
            names = [names[key] for key in sorted(names, key=int)]
        return tuple(str(name) for name in names)
    except (TypeError, ValueError):
        return ()


def _ultralytics(text: str) -> dict[str, Any]:
    """The dictionary that Ultralytics writes, as a Python literal or as JSON; empty for other texts."""
    if not text.lstrip().startswith("{"):
        return {}
    try:
        said = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return {}
    return said if isinstance(said, dict) else {}


def _by_count(model_file: Path, layout: tuple[str, int | None]) -> tuple[tuple[str, ...], str]:
    """Labels guessed from the number of classes; SSD graphs may count the background as one more."""
    decoder, class_count = layout
    is_ssd = decoder == "ssd-postprocess"
    if is_ssd and class_count in (None, len(COCO_90), len(COCO_90) + 1):
        return COCO_90, "labels guessed: COCO by category id"
    if class_count == len(COCO_80) or (is_ssd and class_count == len(COCO_80) + 1):
        return COCO_80, "labels guessed: the 80 of COCO"
    if class_count == len(CLASSES) + int(is_ssd):
        return CLASSES, "labels guessed: Pehra's six"
    raise ModelUnavailable(
        model_file,
        f"it has {class_count} outputs a box and nothing says what they mean",
        _HOW_TO_LABEL.format(name=f"{model_file.stem}.txt"),
    )
