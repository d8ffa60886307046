"""What must not hold an update up for ever, nor end the watch over what runs: deltas, repeats, defects, clocks."""

from __future__ import annotations

import hashlib
import logging

import pytest

from ota.trust.delta import delta_path, make_delta
from ota.trust.http import HttpSource
from tests.repository_simulator import serving
from tests.updating import Publisher, Unit, digest, document, packed, tiny_model

PROBATION_S = 600


@pytest.fixture
def publisher(tmp_path):
    return Publisher(tmp_path)


@pytest.fixture
def unit(tmp_path, publisher):
    return Unit(tmp_path, publisher).start()


@pytest.fixture
def one(tmp_path):
    return tiny_model(tmp_path / "one", "1.0")


@pytest.fixture
def served(publisher):
    with serving(publisher.repository) as running:
        yield running


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def with_delta(publisher, old, new):
    wanted = publisher.add(new)
    path = delta_path(sha256(packed(old)), wanted.hashes["sha256"])
    publisher.put(path, make_delta(packed(old), packed(new)), {}, "deltas")
    return wanted


# Deltas only save bytes: the online key signs them, and whoever has it must not be able to stop a release.


@pytest.mark.parametrize(
    "missing", ["/targets/deltas/", "deltas.json"], ids=["the delta", "the role of deltas"]
)
def test_without_its_delta_a_release_is_fetched_whole(unit, served, publisher, one, missing):
    wanted = with_delta(publisher, unit.factory, one)
    unit.use(HttpSource(served.metadata_url, served.targets_url))
    served.faults[missing] = lambda handler, content: handler.send_error(404)
    unit.hear(document(wanted)).live(3)
    assert [path for path in served.asked if path.endswith(".tar")]
    assert unit.runs.sha256 == digest(one)


def test_a_signed_delta_without_a_byte_is_none(unit, publisher, one):
    wanted = publisher.add(one)
    path = delta_path(sha256(packed(unit.factory)), wanted.hashes["sha256"])
    publisher.put(path, b"", {}, "deltas")
    unit.hear(document(wanted)).live(3)
    assert unit.runs.sha256 == digest(one)
