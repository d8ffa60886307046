from __future__ import annotations

import hashlib

import msgspec
import numpy as np
import pytest

from device.errors import ModelUnavailable
from device.models.bundle import Bundle, Golden, GoldenValue, load_bundle
from device.models.golden import golden_of, mismatches, pseudo_picture


def with_golden(bundle: Bundle, golden: Golden) -> Bundle:
    return Bundle(bundle.path, msgspec.structs.replace(bundle.card, golden=[golden]), bundle.sha256)


def test_the_picture_of_a_seed_never_changes() -> None:
    digest = hashlib.sha256(pseudo_picture(0, 320, 320).tobytes()).hexdigest()
    assert digest == "a12f7c579a2c35713aa52b64d9068f284d75dda81f146c287c6efb3d41816f5c"
    assert not np.array_equal(pseudo_picture(0, 32, 32), pseudo_picture(1, 32, 32))


def test_a_golden_vector_holds_on_the_machine_that_made_it() -> None:
    bundle = load_bundle("street-2")
    golden = golden_of(bundle, 0)
    assert len(golden.expected) == 24
    assert mismatches(with_golden(bundle, golden)) == []


def test_a_value_that_came_out_otherwise_is_named() -> None:
    bundle = load_bundle("street-2")
    golden = golden_of(bundle, 0)
    first = golden.expected[0]
    off = Golden(0, [GoldenValue(first.output, first.at, first.value + 1.0), *golden.expected[1:]])
    wrong = mismatches(with_golden(bundle, off))
    assert [(one.expected.output, one.expected.at) for one in wrong] == [(first.output, first.at)]


@pytest.mark.parametrize(("output", "at"), [("nowhere", 0), (None, 10**9), (None, -1)])
def test_a_golden_vector_of_another_model_is_refused(output: str | None, at: int) -> None:
    bundle = load_bundle("street-2")
    name = output or golden_of(bundle, 0).expected[0].output
    with pytest.raises(ModelUnavailable, match="golden vector speaks of"):
        mismatches(with_golden(bundle, Golden(0, [GoldenValue(name, at, 0.0)])))


def test_the_shipped_model_gives_what_its_card_says() -> None:
    assert mismatches(load_bundle("street-2")) == []
