"""The numbers on a card: the accuracy of the float network and of the int8 file, and the time of one invoke.

The int8 file is measured through `device.models.detector`, the way a camera runs it.
"""

from __future__ import annotations

import platform
import statistics
from collections.abc import Callable

from device.models.bundle import Bundle
from device.models.detector import Detector
from device.models.labels import CLASSES
from device.models.training.evaluate import LEAST_SCORE, Accuracy, Answer, measure
from device.models.training.network import Network
from device.models.training.pictures import Picture
from device.models.training.predict import float_detector
from hardware.camera.frame import Frame

_TIMED_PICTURES = 50


def measured_on_card(network: Network, bundle: Bundle, valid: dict[str, list[Picture]]) -> dict[str, object]:
    """Accuracy on each set of `valid`, by name, and the median time of one invoke on one thread."""
    labels = tuple(bundle.card.labels)
    as_float = float_detector(network, bundle.card.input.width, bundle.card.thresholds.iou)
    detector = Detector(bundle, conf=LEAST_SCORE, threads=1)
    as_int8 = int8_detector(detector, labels)
    accuracy = {
        name: _rows(measure(as_float, pictures, labels), measure(as_int8, pictures, labels))
        for name, pictures in valid.items()
    }
    some = [picture for pictures in valid.values() for picture in pictures][:_TIMED_PICTURES]
    return {
        "metric": "COCO average precision by pycocotools, at most 100 detections a picture; 50 = at IoU 0.5",
        "invoke_ms_p50": round(statistics.median(_invoke_times_ms(detector, some)), 2) if some else 0.0,
        "invoke_on": f"{platform.machine()}, 1 thread, other programs were running",
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "accuracy": accuracy,
    }


def int8_detector(detector: Detector, labels: tuple[str, ...]) -> Callable[[Picture], list[Answer]]:
    """A function from picture to detections by a bundle, as indices into `labels`."""
    index = {CLASSES.index(name): number for number, name in enumerate(labels)}

    def detect(picture: Picture) -> list[Answer]:
        found = detector.detect(frame_of(picture))
        rows = zip(found.classes, found.scores, found.boxes, strict=True)
        return [(index[int(kind)], float(score), box) for kind, score, box in rows]

    return detect


def frame_of(picture: Picture) -> Frame:
    """A picture as a camera would give it."""
    height, width = picture.pixels.shape[:2]
    return Frame(picture.pixels, "rgb", width, height, mono_s=0.0, utc_s=0.0, seq=0)


def _invoke_times_ms(detector: Detector, pictures: list[Picture]) -> list[float]:
    times_ms = []
    for picture in pictures:
        detector.detect(frame_of(picture))
        times_ms.append(detector.last_invoke_ms)
    return times_ms


def _rows(of_float: Accuracy, of_int8: Accuracy) -> dict[str, object]:
    return {
        "pictures": of_int8.pictures,
        "float_map50": round(of_float.map50, 4),
        "int8_map50": round(of_int8.map50, 4),
        "int8_map50_95": round(of_int8.map50_95, 4),
        "int8_ap50": {name: round(value, 4) for name, value in of_int8.by_class.items()},
    }
