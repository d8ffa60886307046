"""Real numbers to 8-bit integers and back, exactly as TFLite does it.

    real = scale * (q - zero_point)            (TensorFlow Lite 8-bit quantization specification)

An 8-bit tensor has 256 values, so its real values are a table, and a threshold on real values is a
threshold on integers: compare first, convert the few that pass. Pure functions of arrays; never
touches a model.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]
Reals = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Shape and meaning of one tensor.

    Attributes:
        name: As the model's file calls it.
        shape: As it will be run.
        dtype: int8, uint8 or float32 for the tensors that are read here.
        scale: Real value of one step; 0.0 for a tensor that is not quantised.
        zero_point: Quantised value that means 0.0.
        index: Number of the tensor in its interpreter.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    scale: float = 0.0
    zero_point: int = 0
    index: int = -1

    @property
    def is_quantised(self) -> bool:
        """Whether the values are steps of a scale rather than reals."""
        return self.scale > 0.0 and self.dtype in (np.dtype(np.int8), np.dtype(np.uint8))


def quantise(real: Reals, spec: TensorSpec) -> Array:
    """Reals to the integers of a tensor: divide, round half to even, shift, saturate.

    Args:
        real: Any shape.
        spec: A quantised tensor.
    """
    limits = np.iinfo(spec.dtype.name)
    steps = np.rint(np.asarray(real, np.float32) / np.float32(spec.scale)) + np.float32(spec.zero_point)
    saturated: Array = np.clip(steps, limits.min, limits.max).astype(spec.dtype)
    return saturated


def real_table(spec: TensorSpec) -> Reals:
    """The real value of each of the 256 bytes of an 8-bit tensor, float32 (256,), indexed by the byte."""
    integers = np.arange(256, dtype=np.uint8).view(spec.dtype).astype(np.int32)
    table: Reals = np.float32(spec.scale) * (integers - spec.zero_point).astype(np.float32)
    return table


@dataclass(frozen=True, slots=True)
class Levels:
    """The values of one tensor, in reals and in integers.

    Attributes:
        spec: The tensor.
    """

    spec: TensorSpec
    _table: Reals = field(init=False, repr=False)
    _ascending: Reals = field(init=False, repr=False)
    _known: dict[float, np.generic | None] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        table = real_table(self.spec) if self.spec.is_quantised else np.empty(0, np.float32)
        object.__setattr__(self, "_table", table)
        object.__setattr__(self, "_ascending", np.sort(table))

    def real(self, values: Array) -> Reals:
        """Dequantise values of this tensor; float tensors come back as float32.

        Args:
            values: Any shape, of the tensor's dtype.
        """
        if not self.spec.is_quantised:
            return values.astype(np.float32, copy=False)
        return self._table[np.ascontiguousarray(values).view(np.uint8)]

    def least(self, real: float) -> float:
        """The least tensor value whose real value is at least ``real``; above the range where none is.

        For a float tensor this is ``real`` itself; a whole number otherwise.
        """
        if not self.spec.is_quantised:
            return real
        limits = np.iinfo(self.spec.dtype.name)
        return float(limits.min + int(np.searchsorted(self._ascending, np.float32(real), side="left")))

    def at_least(self, values: Array, real: float) -> npt.NDArray[np.bool_]:
        """Which values are at least ``real``, compared without dequantising; NaN never is."""
        if real not in self._known:
            self._known[real] = self._least_value(real)
        least = self._known[real]
        return np.zeros(values.shape, np.bool_) if least is None else np.greater_equal(values, least)

    def _least_value(self, real: float) -> np.generic | None:
        """`least` in the tensor's own type, None where no value is so great; a caller asks for few."""
        least = self.least(real)
        if not self.spec.is_quantised:
            return np.float32(least)
        if least > np.iinfo(self.spec.dtype.name).max:
            return None
        return self.spec.dtype.type(int(least))

    @property
    def greatest(self) -> float:
        """The greatest real value the tensor can hold; infinite for a float tensor."""
        return float(self._table.max()) if self.spec.is_quantised else float("inf")
