"""Golden vectors: what a model must give for a picture made from a number, on every machine.

Two runtimes, or a file before and after its journey, are compared by the greatest values of each
output. The picture is integer arithmetic, so it is the same everywhere. Never writes a card.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from device.errors import ModelUnavailable
from device.models.bundle import Bundle, Golden, GoldenValue, read_model
from device.models.interpreter import Interpreter
from device.models.prepare import Preparer
from device.models.quantise import Levels
from hardware.camera.frame import Frame

VALUES_AN_OUTPUT = 4
"""So many of the greatest values of each output are noted."""

TOLERANCE_STEPS = 4
"""Kernels of different runtimes round differently; so many steps of an output are no difference."""

_FLOAT_TOLERANCE = 0.02


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One number that came out otherwise.

    Attributes:
        seed: Of the picture.
        expected: What the card says.
        got: What this machine computed.
        tolerance: How far off it might have been.
    """

    seed: int
    expected: GoldenValue
    got: float
    tolerance: float


def pseudo_picture(seed: int, width: int, height: int) -> npt.NDArray[np.uint8]:
    """A picture of gradients and squares, the same for a seed on every machine.

    Args:
        seed: From 0.
        width: Pixels.
        height: Pixels.

    Returns:
        uint8 (height, width, 3).
    """
    y, x = np.mgrid[:height, :width].astype(np.int64)
    squares = ((x // 48 + seed) ^ (y // 40)) % 3 * 61
    channels = [squares + x * (3 + channel + seed) // 4 + y * (5 + 2 * channel) // 6 for channel in range(3)]
    return (np.stack(channels, axis=2) % 256).astype(np.uint8)


def golden_of(bundle: Bundle, seed: int) -> Golden:
    """The golden vector of a model for one seed: the greatest values of each output, ties by position."""
    values = []
    interpreter = Interpreter(bundle.path, read_model(bundle.path))
    for name, real in _outputs(bundle, interpreter, seed).items():
        greatest = np.argsort(-real, kind="stable")[:VALUES_AN_OUTPUT]
        values += [GoldenValue(name, int(at), round(float(real[at]), 6)) for at in greatest]
    return Golden(seed=seed, expected=values)


def mismatches(bundle: Bundle) -> list[Mismatch]:
    """Run the golden vectors of a card.

    Returns:
        What came out otherwise; empty when all is well, and when the card has no golden vector.

    Raises:
        ModelUnavailable: A golden vector speaks of an output that the model does not have.
    """
    return [wrong for golden in bundle.card.golden for wrong in _compare(bundle, golden)]


def _compare(bundle: Bundle, golden: Golden) -> list[Mismatch]:
    interpreter = Interpreter(bundle.path, read_model(bundle.path))
    outputs = _outputs(bundle, interpreter, golden.seed)
    steps = {spec.name: spec.scale for spec in interpreter.outputs}
    wrong = []
    for expected in golden.expected:
        real = outputs.get(expected.output)
        if real is None or not 0 <= expected.at < real.size:
            reason = f"its golden vector speaks of {expected.output}[{expected.at}], which it does not have"
            raise ModelUnavailable(bundle.path, reason, "correct [[golden]] in its card")
        got = float(real[expected.at])
        tolerance = steps[expected.output] * TOLERANCE_STEPS or _FLOAT_TOLERANCE
        if not abs(got - expected.value) <= tolerance:
            wrong.append(Mismatch(golden.seed, expected, got, tolerance))
    return wrong


def _outputs(bundle: Bundle, interpreter: Interpreter, seed: int) -> dict[str, npt.NDArray[np.float32]]:
    """Name to dequantised values, flattened, of every output."""
    card = bundle.card
    picture = pseudo_picture(seed, card.input.width, card.input.height)
    frame = Frame(picture, "rgb", card.input.width, card.input.height, 0.0, 0.0, 0)
    preparer = Preparer(card.input, interpreter.image_input, card.decoder)
    preparer.write(frame, interpreter.input_view())
    interpreter.invoke()
    return {
        spec.name: Levels(spec).real(values).reshape(-1).copy()
        for spec, values in zip(interpreter.outputs, interpreter.output_views(), strict=True)
    }
