"""Deltas make what they were made for, and whatever else they are, nothing."""

from __future__ import annotations

import contextlib
import random

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from tuf.api.metadata import TargetFile

from ota.errors import FolderProblem, WrongContent
from ota.trust.delta import MAGIC, apply_delta, make_delta, patch_file
from ota.trust.limits import Limits

OLD = random.Random(1).randbytes(60_000)
NEW = OLD[:20_000] + random.Random(2).randbytes(3_000) + OLD[20_000:]


@given(st.binary(max_size=300), st.binary(max_size=300))
@settings(max_examples=60)
def test_a_delta_makes_the_new_out_of_the_old(old, new):
    assert apply_delta(old, make_delta(old, new), len(new)) == new


def test_a_delta_is_as_small_as_the_change():
    assert len(make_delta(OLD, NEW)) < 4_000


@given(st.integers(0, 10_000), st.integers(1, 255))
@settings(max_examples=60)
def test_a_damaged_delta_makes_nothing_or_something_of_the_right_length(at, change):
    delta = bytearray(make_delta(OLD[:2000], NEW[:2500]))
    delta[at % len(delta)] ^= change
    with contextlib.suppress(WrongContent):
        assert len(apply_delta(OLD[:2000], bytes(delta), 2500)) == 2500


@pytest.mark.parametrize("length", [0, 1, len(NEW) - 1, len(NEW) + 1, 10**9])
def test_a_delta_for_another_length_is_refused(length):
    with pytest.raises(WrongContent):
        apply_delta(OLD, make_delta(OLD, NEW), length)


def _delta_of(*sizes, body=b""):
    head = b"".join(size.to_bytes(8, "little") for size in sizes)
    return MAGIC + zstandard.ZstdCompressor().compress(head + body)


@pytest.mark.parametrize(
    "delta",
    [
        b"",
        MAGIC,
        MAGIC + b"x" * 100,
        b"BSDIFF40" + b"\0" * 24,
        _delta_of(100, 2**63, 0, 0),
        _delta_of(100, 24, 100, 0, body=b"\xff" * 124),
        _delta_of(100, 24, 100, 0, body=(2**62).to_bytes(8, "little") * 3 + b"x" * 100),
        _delta_of(2**63, 0, 0, 0),
        MAGIC + zstandard.ZstdCompressor().compress(b"\0" * 50_000_000),
    ],
)
def test_a_delta_of_rubbish_is_refused(delta):
    with pytest.raises(WrongContent):
        apply_delta(OLD, delta, 100)


@pytest.fixture
def files(tmp_path):
    (tmp_path / "old").write_bytes(OLD)
    (tmp_path / "delta").write_bytes(make_delta(OLD, NEW))
    target = TargetFile.from_data("models/new", NEW, ["sha256"])
    return tmp_path / "old", tmp_path / "delta", target, tmp_path / "new"


def test_a_file_that_is_patched_is_verified_as_the_full_one_is(files):
    old, delta, target, new = files
    patch_file(old, delta, target, new)
    assert new.read_bytes() == NEW


def test_a_delta_from_another_old_file_is_refused(files):
    old, delta, target, new = files
    old.write_bytes(OLD[::-1])
    with pytest.raises(WrongContent, match="in full"):
        patch_file(old, delta, target, new)
    assert not new.exists()


def test_a_file_too_large_to_patch_in_memory_is_fetched_in_full(files):
    old, delta, target, new = files
    with pytest.raises(WrongContent, match="in full"):
        patch_file(old, delta, target, new, Limits(max_delta_bytes=50_000))


def test_an_old_file_that_is_gone_is_said(files):
    old, delta, target, new = files
    old.unlink()
    with pytest.raises(FolderProblem):
        patch_file(old, delta, target, new)
