"""A frame in, detections out: prepare, invoke, decode, suppress, map back.

The only thing the firmware needs of this room. Never keeps a frame and never logs one.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass

import cv2
import numpy as np

from device.errors import ModelUnavailable
from device.models.bundle import Bundle, read_model
from device.models.candidates import Candidates
from device.models.decoders import make_decoder
from device.models.detections import Detections
from device.models.interpreter import Interpreter
from device.models.nms import MOST_DETECTIONS, nms
from device.models.prepare import Placement, Preparer
from hardware.camera.frame import Frame


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Milliseconds that each stage of one frame took."""

    prepare_ms: float = 0.0
    invoke_ms: float = 0.0
    decode_ms: float = 0.0

    @property
    def beyond_invoke_ms(self) -> float:
        """All but the model itself."""
        return self.prepare_ms + self.decode_ms


class Detector:
    """Runs one model over frames. Not for two threads at once; `detect` releases the GIL while it invokes.

    Args:
        bundle: The model.
        conf: Least score, 0..1; the card's where None.
        iou: Most overlap of two boxes of one class, 0..1; the card's where None.
        threads: Threads of one invoke.

    Attributes:
        bundle: The model.
        conf: Least score in use.
        iou: Most overlap in use.
        times: What the last frame took.
        dropped_not_finite: Boxes left out since the start because a number in them was NaN or infinite.

    Raises:
        ModelUnavailable: The model cannot be run, or is not what its card says.
    """

    def __init__(
        self, bundle: Bundle, *, conf: float | None = None, iou: float | None = None, threads: int = 1
    ) -> None:
        self.bundle = bundle
        self.conf = bundle.card.thresholds.conf if conf is None else conf
        self.iou = bundle.card.thresholds.iou if iou is None else iou
        self.times = StageTimes()
        self.dropped_not_finite = 0
        content = read_model(bundle.path)
        if hashlib.sha256(content).hexdigest() != bundle.sha256:
            raise ModelUnavailable(bundle.path, "it was exchanged since it was checked", "load it again")
        if not hasattr(cv2.dnn, "NMSBoxesBatched"):
            reason = f"OpenCV {cv2.__version__} is too old to run it with"
            raise ModelUnavailable(bundle.path, reason, "install OpenCV 4.10 or newer")
        self._interpreter = Interpreter(bundle.path, content, threads=threads)
        _check_input(bundle, self._interpreter)
        postprocess = self._interpreter.postprocess
        self._decoder = make_decoder(
            bundle.path, bundle.card, self._interpreter.outputs, postprocess.outputs if postprocess else None
        )
        self._preparer = Preparer(bundle.card.input, self._interpreter.image_input, bundle.card.decoder)

    @property
    def last_invoke_ms(self) -> float:
        """How long the model itself took on the last frame."""
        return self._interpreter.last_invoke_ms

    @property
    def runtime(self) -> str:
        """Which TFLite runtime runs the model."""
        return self._interpreter.runtime

    def detect(self, frame: Frame) -> Detections:
        """Find the objects of one frame, the surest first, at most 300.

        Args:
            frame: RGB or I420, any size from 1x1.
        """
        began_s = time.perf_counter()
        placement = self._preparer.write(frame, self._interpreter.input_view())
        prepared_s = time.perf_counter()
        self._interpreter.invoke()
        invoked_s = time.perf_counter()
        candidates = self._decoder.decode(self._interpreter.output_views(), self.conf)
        detections = self._settle(candidates, placement)
        ended_s = time.perf_counter()
        self.dropped_not_finite += candidates.dropped
        self.times = StageTimes(
            prepare_ms=(prepared_s - began_s) * 1e3,
            invoke_ms=(invoked_s - prepared_s) * 1e3,
            decode_ms=(ended_s - invoked_s) * 1e3,
        )
        return detections

    def _settle(self, found: Candidates, placement: Placement) -> Detections:
        """Suppress overlaps and bring the boxes back to the original."""
        if not len(found.scores):
            return Detections.none()
        if self._decoder.needs_nms:
            kept = nms(found.boxes, found.scores, found.classes, self.iou)
        else:
            kept = np.argsort(-found.scores, kind="stable")[:MOST_DETECTIONS].astype(np.int64)
        boxes = placement.to_original(found.boxes.take(kept, axis=0))
        has_side = boxes[:, 2:] > boxes[:, :2]
        if not has_side.all():
            inside = has_side.all(axis=1)
            kept, boxes = kept[inside], boxes[inside]
        return Detections(classes=found.classes.take(kept), scores=found.scores.take(kept), boxes=boxes)


def _check_input(bundle: Bundle, interpreter: Interpreter) -> None:
    """The card's input must be the model's, or every number after it would be wrong."""
    card, spec = bundle.card.input, interpreter.image_input
    says = (card.height, card.width, card.dtype)
    is_there = (spec.shape[1], spec.shape[2], spec.dtype.name)
    if says != is_there:
        raise ModelUnavailable(
            bundle.path,
            f"its input (height, width, type) is {is_there}, the card says {says}",
            "correct [input] in its card",
        )
    same_scale = np.isclose(card.scale, spec.scale, rtol=1e-3, atol=1e-9)
    if spec.is_quantised and not (same_scale and card.zero_point == spec.zero_point):
        raise ModelUnavailable(
            bundle.path,
            f"its input has scale {spec.scale:g} and zero point {spec.zero_point}, "
            f"the card says {card.scale:g} and {card.zero_point}",
            "correct [input] in its card",
        )
