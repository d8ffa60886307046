"""A float detector becomes a full-int8 one, calibrated on pictures; by ai-edge-quantizer (extra `[train]`).

Quantisation after training, weights by channel and activations by tensor. Never trains, never writes a file.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from device.errors import ConfigError, ModelRefused, ModelUnavailable
from device.models.bundle import Bundle, read_model
from device.models.detector import Detector
from device.models.interpreter import Interpreter
from device.models.nms import overlaps
from device.models.prepare import Preparer
from hardware.camera.frame import Frame
from hardware.camera.stills import UnreadablePhoto, read_photo

Progress = Callable[[Sequence[Path]], Iterator[Path]]

_SAME_PLACE = 0.5
_LEAST_PICTURES = 10


def to_int8(bundle: Bundle, pictures: Sequence[Path], progress: Progress = iter) -> bytes:
    """Quantise a float32 detector; input, outputs and every operator that can become int8.

    Args:
        bundle: The float detector.
        pictures: Photographs as the camera will see them, 100 to 300; what cannot be read is left out.
        progress: Wraps the pictures, to show how far it is.

    Raises:
        ConfigError: ai-edge-quantizer is missing, or too few pictures can be read.
        ModelRefused: It is quantised already.
        ModelUnavailable: The quantiser cannot convert it.
    """
    content = read_model(bundle.path)
    interpreter = Interpreter(bundle.path, content)
    if bundle.card.input.dtype != "float32":
        raise ModelRefused(
            bundle.path,
            f"its input is {bundle.card.input.dtype}: it is quantised already",
            "give its float parent",
        )
    try:
        from ai_edge_quantizer import quantizer, recipe
    except ImportError as error:
        raise ConfigError(
            None, None, "quantise", "needs ai-edge-quantizer: pip install 'pehra[train]'"
        ) from error
    inputs = list(_inputs(bundle, interpreter, pictures, progress))
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            tool = quantizer.Quantizer(bytearray(content), recipe.static_wi8_ai8())
            key, name = _signature(bundle, content)
            calibrated = tool.calibrate({key: [{name: one} for one in inputs]})
            made = tool.quantize(calibrated).quantized_model
    except Exception as error:  # the library raises whatever its rules for an operator met
        raise ModelUnavailable(
            bundle.path,
            f"the quantiser cannot convert it ({error})",
            "export it again from its framework with fewer special operators",
        ) from error
    return bytes(made)


def _inputs(
    bundle: Bundle, interpreter: Interpreter, pictures: Sequence[Path], progress: Progress
) -> Iterator[np.ndarray]:
    """Input tensors float32 (1,H,W,3), the first half black and half white: it pins the input's range."""
    card, spec = bundle.card.input, interpreter.image_input
    preparer = Preparer(card, spec, bundle.card.decoder)
    extremes = np.zeros((card.height, card.width, 3), np.uint8)
    extremes[:, card.width // 2 :] = 255
    yield _prepared(preparer, spec.shape, extremes)
    read = 0
    for path in progress(pictures):
        with contextlib.suppress(UnreadablePhoto):
            yield _prepared(preparer, spec.shape, read_photo(path))
            read += 1
    if read < _LEAST_PICTURES:
        raise ConfigError(
            None,
            None,
            "calibration",
            f"{read} pictures could be read: give at least {_LEAST_PICTURES}, better 200, of its street",
        )


def _prepared(preparer: Preparer, shape: tuple[int, ...], pixels: np.ndarray) -> np.ndarray:
    made = np.zeros(shape, np.float32)
    height, width = pixels.shape[:2]
    preparer.write(Frame(pixels, "rgb", width, height, 0.0, 0.0, 0), made)
    return made


def _signature(bundle: Bundle, content: bytes) -> tuple[str, str]:
    from ai_edge_litert.interpreter import Interpreter as Runtime

    signatures = Runtime(model_content=content).get_signature_list()
    if len(signatures) != 1:
        raise ModelUnavailable(
            bundle.path,
            f"it has {len(signatures)} signatures, and calibration needs one",
            "export it again from its framework with one signature",
        )
    ((key, signature),) = signatures.items()
    (name,) = signature["inputs"]
    return key, name


def agreement(first: Detector, second: Detector, pictures: Sequence[Path]) -> tuple[int, int]:
    """How many detections of the first model the second finds too, by class and place, and of how many."""
    found = kept = 0
    for path in pictures:
        try:
            pixels = read_photo(path)
        except UnreadablePhoto:
            continue
        frame = Frame(pixels, "rgb", pixels.shape[1], pixels.shape[0], 0.0, 0.0, 0)
        mine, other = first.detect(frame), second.detect(frame)
        same = mine.classes[:, None] == other.classes[None]
        alike = (overlaps(mine.boxes[:, None], other.boxes[None]) >= _SAME_PLACE) & same
        found += int(alike.any(axis=1).sum())
        kept += len(mine.classes)
    return found, kept
