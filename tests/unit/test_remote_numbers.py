"""The number of a document: it only rises, whatever the document speaks of, and outlives a restart."""

from __future__ import annotations

import pytest

from device.firmware.remote import Remote
from ota.messages import Target, new_id
from tests.unit.test_remote_desired import BASE, FAST, SLOW, Board, document

TARGET = Target("models/street-3.tar", 1000, {"sha256": "ef" * 32})
OTHER = Target("models/street-4.tar", 1000, {"sha256": "ab" * 32})


class Listening(Board):
    """A board that notes what its updater is told."""

    def start(self):
        self.told = getattr(self, "told", [])
        super().start()
        self.remote.on_document = self.told.append


@pytest.fixture
def board(tmp_path):
    return Listening(tmp_path)


def targets(*wanted, seq, action="0" * 36, **fields):
    return document("", seq=seq, action=action, config="", targets=list(wanted), overlay=[], **fields)


def test_a_document_about_releases_alone_is_remembered_over_a_restart(board):
    board.hear(targets(TARGET, seq=5))
    board.start()
    assert board.said == ("none", 5, [])
    board.hear(targets(OTHER, seq=4))
    assert board.said == ("none", 5, ["seq"])
    assert [one.seq for one in board.told] == [5]


def test_the_same_number_with_other_releases_is_refused(board):
    board.hear(targets(TARGET, seq=5))
    board.hear(targets(OTHER, seq=5))
    assert board.said == ("none", 5, ["seq"])
    assert len(board.told) == 1


def test_the_same_document_told_again_with_new_dates_reaches_the_updater_again(board):
    board.hear(targets(TARGET, seq=5))
    board.start()
    board.hear(targets(TARGET, seq=5, expires="2026-12-31T00:00:00.000Z"))
    assert [one.seq for one in board.told] == [5, 5]
    assert board.said == ("none", 5, [])


def test_a_withdrawn_order_is_a_document_without_it(board):
    board.hear(targets(TARGET, seq=5))
    board.hear(targets(seq=6))
    assert [one.targets for one in board.told] == [[TARGET], []]
    assert board.said == ("none", 6, [])


def test_a_good_document_ends_the_complaint_about_a_bad_one(board):
    said = {"seq": 5, "action": new_id()}
    board.hear(document(FAST, **said))
    board.live(65)
    board.hear(b"forged")
    assert board.said == ("applied", 5, [""])
    board.hear(document(FAST, **said))
    assert board.said == ("applied", 5, [])


def test_an_order_beside_a_configuration_on_trial_does_not_begin_it_anew(board):
    assert board.hear(document(FAST, seq=5))
    board.live(30)
    assert not board.hear(document(FAST, seq=6, targets=[TARGET]))
    assert board.said == ("trial", 6, [])
    board.live(35)
    assert board.said == ("applied", 6, [])
    board.start()
    assert (board.fps, board.said) == (20, ("applied", 6, []))


def test_an_order_beside_a_configuration_that_was_rolled_back_does_not_try_it_again(board):
    board.hear(document(SLOW, seq=4))
    board.live(65)
    board.hear(document(FAST, seq=5))
    assert board.live(650, is_linked=False)
    assert board.said == ("rolled-back", 5, [""])
    assert not board.hear(document(FAST, seq=6, targets=[TARGET]))
    assert board.said == ("rolled-back", 6, [""])
    assert board.told[-1].targets == [TARGET]
    board.start()
    assert (board.fps, board.said) == (2, ("rolled-back", 6, [""]))


def test_one_that_was_rolled_back_is_tried_again_after_another_was_good(board):
    board.hear(document(FAST, seq=5))
    board.live(650, is_linked=False)
    board.hear(document(SLOW, seq=6))
    board.live(65)
    assert board.hear(document(FAST, seq=7))
    assert board.said == ("trial", 7, [])


def test_an_order_beside_a_refused_configuration_is_followed_and_the_refusal_told_again(board):
    board.hear(document("colour = 1", seq=5))
    board.hear(document("colour = 1", seq=6, targets=[TARGET]))
    assert board.said == ("refused", 6, ["colour"])
    assert board.told[-1].targets == [TARGET]


def test_a_kill_between_reading_and_taking_in_loses_no_configuration(board, monkeypatch):
    payload = document(FAST, seq=5)

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Remote, "_take_in", killed)
    with pytest.raises(KeyboardInterrupt):
        board.hear(payload)
    monkeypatch.undo()
    board.start()
    assert board.said == ("none", None, []), "nobody is told that it was applied"
    assert board.hear(payload)
    assert board.said == ("trial", 5, [])


def test_a_disk_that_cannot_remember_a_number_lets_the_document_wait(board, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(board.store, "note_heard", full)
    board.hear(targets(TARGET, seq=5))
    assert board.told == []
    assert "No space left" in board.remote.standing.faults[0][1]


def test_what_a_version_before_has_applied_is_heard_again_without_a_complaint(board):
    payload = document(FAST, seq=5)
    board.hear(payload)
    board.live(65)
    (board.store._folder / "heard.json").unlink()
    board.start()
    assert not board.hear(payload)
    assert board.said == ("applied", 5, [])


def test_where_the_devices_own_file_forbids_configurations_orders_are_still_followed(tmp_path):
    import msgspec

    closed = msgspec.structs.replace(BASE, remote=msgspec.structs.replace(BASE.remote, enabled=False))
    board = Listening(tmp_path, closed)
    board.hear(document(FAST, seq=5, targets=[TARGET]))
    assert board.said == ("none", None, ["config"])
    assert [one.targets for one in board.told] == [[TARGET]]


def test_a_document_that_held_until_yesterday_is_refused(board):
    board.hear(targets(TARGET, seq=5, expires="2020-01-01T00:00:00.000Z"))
    assert board.said == ("none", None, ["expires"])
    assert board.told == []


def test_a_document_for_another_device_is_refused(board):
    board.hear(targets(TARGET, seq=5, device="cam-99"))
    assert board.said == ("none", None, ["device"])
    assert board.told == []
