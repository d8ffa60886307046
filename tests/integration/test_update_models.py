"""Models over the air, from a document to what looks: staged, switched without a blind second, tried, kept."""

from __future__ import annotations

import pytest

from tests.updating import Publisher, Unit, digest, document, tiny_model

PROBATION_S = 600


@pytest.fixture
def publisher(tmp_path):
    return Publisher(tmp_path)


@pytest.fixture
def unit(tmp_path, publisher):
    return Unit(tmp_path, publisher).start()


def test_a_document_becomes_a_model_that_looks_and_is_committed_after_its_probation(
    tmp_path, publisher, unit
):
    folder = tiny_model(tmp_path / "new", "1.0")
    wanted = publisher.add(folder, sec_ver=3)
    heard = document(wanted)
    unit.hear(heard).live(1)
    assert unit.runs.sha256 == digest(folder)
    assert unit.words == ["accepted", "downloading", "verified", "staged", "armed", "switched", "probation"]
    assert unit.ledger.floors == {}, "the floor waits for the commit"
    unit.live(PROBATION_S + 2)
    assert unit.words[-1] == "committed"
    assert unit.journal.state == "clean"
    assert unit.ledger.floors == {"model/small": 3}
    assert {update.action for update in unit.said} == {heard.action}
    assert {update.target for update in unit.said} == {wanted.path}
    assert not (unit.state / "slots" / "incoming" / "model").exists()
    assert Unit(tmp_path, publisher).start().runs.sha256 == digest(folder), "a start takes it, too"
