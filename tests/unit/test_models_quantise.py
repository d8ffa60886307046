from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.models.quantise import Levels, TensorSpec, quantise, real_table

DTYPES = st.sampled_from(["int8", "uint8"])
SCALES = st.sampled_from([1 / 255, 1 / 256, 0.0078125, 0.004697551019489765, 2.5])


def spec_of(dtype: str, scale: float = 0.0, zero_point: int = 0) -> TensorSpec:
    return TensorSpec("t", (1,), np.dtype(dtype), scale, zero_point)


@st.composite
def specs(draw: st.DrawFn) -> TensorSpec:
    dtype = draw(DTYPES)
    limits = np.iinfo(dtype)
    return spec_of(dtype, draw(SCALES), draw(st.integers(int(limits.min), int(limits.max))))


@given(specs())
def test_every_byte_survives_the_way_there_and_back(spec: TensorSpec) -> None:
    values = np.arange(256, dtype=np.uint8).view(spec.dtype)
    assert np.array_equal(quantise(Levels(spec).real(values), spec), values)


@given(specs(), st.floats(-2, 2))
def test_comparing_integers_says_what_comparing_reals_says(spec: TensorSpec, floor: float) -> None:
    levels = Levels(spec)
    values = np.arange(256, dtype=np.uint8).view(spec.dtype)
    assert np.array_equal(levels.at_least(values, floor), levels.real(values) >= np.float32(floor))


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_reals_beyond_the_range_saturate(dtype: str) -> None:
    limits = np.iinfo(dtype)
    reals = np.array([-1e9, 1e9], np.float32)
    assert quantise(reals, spec_of(dtype, 0.1, 3)).tolist() == [limits.min, limits.max]


def test_halves_round_to_even() -> None:
    reals = np.array([0.5, 1.5, 2.5, -0.5, -1.5], np.float32)
    assert quantise(reals, spec_of("int8", 1.0)).tolist() == [0, 2, 2, 0, -2]


def test_the_table_is_indexed_by_the_byte_of_an_int8() -> None:
    table = real_table(spec_of("int8", 0.5, -128))
    assert (table[0x80], table[0xFF], table[0x00], table[0x7F]) == (0.0, 63.5, 64.0, 127.5)


def test_a_float_tensor_passes_through_and_nan_is_never_enough() -> None:
    levels = Levels(spec_of("float32"))
    values = np.array([np.nan, 0.2, 0.3], np.float32)
    assert levels.at_least(values, 0.25).tolist() == [False, False, True]
    assert levels.real(values) is values


def test_a_floor_above_the_greatest_value_lets_nothing_pass() -> None:
    levels = Levels(spec_of("uint8", 1 / 256))
    assert not levels.at_least(np.array([255], np.uint8), 0.999).any()


def test_strided_views_are_dequantised_by_value() -> None:
    values = np.arange(-128, 128, dtype=np.int8).reshape(16, 16).T[::3]
    levels = Levels(spec_of("int8", 0.25, 7))
    assert np.array_equal(levels.real(values), (values.astype(np.float32) - 7) * np.float32(0.25))
