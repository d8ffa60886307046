"""A trained network as a full-int8 TFLite file, quantised after training. Writes nothing."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from device.models.training.augment import letterbox
from device.models.training.errors import ExportError
from device.models.training.layout import INPUT_SCALE, STRIDES
from device.models.training.pictures import Picture

if TYPE_CHECKING:
    from tensorflow.lite import TFLiteConverter

    from device.models.training.network import Network


def to_int8(network: Network, size: int, pictures: list[Picture]) -> bytes:
    """Convert to TFLite: every operation, the input and the six outputs in int8.

    Args:
        network: in evaluation mode.
        size: side of the input in pixels.
        pictures: to calibrate the ranges of values with, some 200.

    Raises:
        ExportError: the converter's file does not keep the contract of our decoder.
    """
    import tensorflow as tf

    converter = _converter(network, size)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: calibration(pictures, size)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    with _quiet():
        content = bytes(converter.convert())
    check_contract(content, size, network.classes)
    return content


def to_float(network: Network, size: int) -> bytes:
    """The same network as a float32 TFLite file: what the int8 file's loss is measured against."""
    converter = _converter(network, size)
    with _quiet():
        return bytes(converter.convert())


def _converter(network: Network, size: int) -> TFLiteConverter:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    from device.models.training.keras_network import build_keras

    return tf.lite.TFLiteConverter.from_keras_model(build_keras(network, size))


def calibration(pictures: list[Picture], size: int) -> Iterator[list[np.ndarray]]:
    """Pictures as the network takes them, each with one black and one white pixel.

    The two pixels pin the input's range to -1..127/128, which makes its scale 1/128 and its zero point 0.
    """
    for picture in pictures:
        pixels = letterbox(picture, size).pixels
        pixels[0, 0], pixels[0, 1] = 0, 255
        yield [(pixels[None].astype(np.float32) - 128) * np.float32(INPUT_SCALE)]


def check_contract(content: bytes, size: int, classes: int) -> None:
    """See that a file has our input and our six outputs.

    Raises:
        ExportError: naming what differs.
    """
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content)
    (image,) = interpreter.get_input_details()
    scale, zero_point = image["quantization"]
    if image["dtype"] is not np.int8 or zero_point != 0 or abs(scale - INPUT_SCALE) > 1e-7:
        raise ExportError(
            f"the input is {image['dtype'].__name__} scale {scale} zero {zero_point}, not int8 1/128 0:"
            " calibrate with pictures that hold black and white"
        )
    wanted = sorted((1, size // s, size // s, c) for s in STRIDES for c in (classes, 4))
    found: list[Any] = interpreter.get_output_details()
    shapes = sorted(tuple(int(side) for side in output["shape"]) for output in found)
    if shapes != wanted or any(output["dtype"] is not np.int8 for output in found):
        raise ExportError(f"the outputs are {shapes}, not int8 of {wanted}: layout and decoder disagree")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the converter's C++ writes to the terminal in a file that is thrown away."""
    kept = {descriptor: os.dup(descriptor) for descriptor in (1, 2)}
    with tempfile.TemporaryFile() as sink:
        try:
            for descriptor in kept:
                os.dup2(sink.fileno(), descriptor)
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for descriptor, copy in kept.items():
                os.dup2(copy, descriptor)
                os.close(copy)
