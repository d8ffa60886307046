"""Firmware over the air: built in a slot, started by a launcher, tried, kept or gone back from."""

from __future__ import annotations

import json

import msgspec
import pytest

from device.errors import FirmwareUnusable, UpdateHindered, UpdateRefused
from device.firmware.updating.firmware_builder import FirmwareBuilder
from device.firmware.updating.journal import JournalFiles, moved
from device.firmware.updating.kind import Verdict
from tests.updating import Publisher, digest, document, tiny_model
from tests.updating_firmware import FIRST, Board, wheelhouse

PROBATION_S = 600


@pytest.fixture
def publisher(tmp_path):
    return Publisher(tmp_path)


@pytest.fixture
def board(tmp_path, publisher):
    return Board(tmp_path, publisher).boot()


def firmware(publisher, tmp_path, version, how="lives", **wish):
    return publisher.add(wheelhouse(tmp_path / f"{version}-{how}", version, how), **wish)


def trial(board):
    file = board.state / "slots" / "firmware" / "trial"
    return json.loads(file.read_bytes()) if file.exists() else None


def committed(board, target, seq=1):
    board.hear(document(target, seq=seq)).live(PROBATION_S + 5)
    assert board.journal.state == "clean", board.said[-1]


def test_a_program_is_built_started_anew_and_committed_after_its_probation(tmp_path, publisher, board):
    heard = document(firmware(publisher, tmp_path, "0.3.0", sec_ver=2))
    board.hear(heard).live(3)
    assert board.version == "0.3.0"
    assert trial(board) == {"slot": "a", "before": "", "starts": 1, "limit": 3}
    assert board.last[0] == "probation"
    board.live(PROBATION_S + 2)
    assert board.words == [
        *("accepted", "downloading", "verified", "staged", "armed", "switched", "probation", "committed"),
    ]
    assert board.ledger.floors == {"firmware/pehra": 2}
    assert trial(board) is None
    assert {update.action for update in board.said} == {heard.action}


def test_the_version_that_runs_is_committed_at_once(tmp_path, publisher, board):
    board.hear(document(firmware(publisher, tmp_path, FIRST))).live(1)
    assert board.last == ("committed", "runs already")


def test_a_program_that_crashes_at_its_start_is_left_by_the_launcher_and_quarantined(
    tmp_path, publisher, board
):
    wanted = firmware(publisher, tmp_path, "0.3.0", "crashes")
    board.hear(document(wanted)).live(5)
    assert (board.version, board.slot) == (FIRST, "")
    assert board.words[-2:] == ["rolling-back", "rolled-back"]
    assert board.last[1] == "3 starts without a commit"
    assert not (board.state / "slots" / "firmware" / "fell-back").exists()
    board.hear(document(wanted, seq=2)).live(2)
    assert board.last == ("rejected", "quarantined on this device: 3 starts without a commit")


def test_a_program_that_fails_its_self_test_is_never_started(tmp_path, publisher, board):
    board.hear(document(firmware(publisher, tmp_path, "0.3.0", "fails"))).live(3)
    assert board.last == ("rejected", "self-test: ImportError: no module named numpy")
    assert board.version == FIRST
    assert not (board.state / "slots" / "firmware" / "a").exists()


def test_a_program_that_loses_the_link_goes_back_after_a_while(tmp_path, publisher, board):
    board.hear(document(firmware(publisher, tmp_path, "0.3.0"))).live(3)
    board.is_linked = False
    board.live(2 * PROBATION_S)
    assert board.last == ("probation", "waits for the link, which was up before")
    board.live(9 * PROBATION_S)
    assert board.version == FIRST
    assert board.last[0] == "rolled-back"
    assert board.last[1].startswith("no link to the fleet")


def test_a_program_that_had_no_link_before_needs_none(tmp_path, publisher, board):
    board.hear(document(firmware(publisher, tmp_path, "0.3.0")))
    board.is_linked = False
    board.live(PROBATION_S + 10)
    assert (board.version, board.journal.state) == ("0.3.0", "committed")
    board.is_linked = True
    board.live(2)
    assert board.journal.state == "clean"


def test_a_board_without_a_launcher_refuses_firmware_before_it_fetches_any(tmp_path, publisher, board):
    board.builder.obstacles = "this board's service starts without the launcher"
    board.hear(document(firmware(publisher, tmp_path, "0.3.0"))).live(2)
    assert board.words == ["rejected"]
    assert "without the launcher" in board.last[1]


def test_a_service_that_starts_another_program_than_the_slots_goes_back_and_says_so(
    tmp_path, publisher, board
):
    board.has_launcher = False
    board.hear(document(firmware(publisher, tmp_path, "0.3.0"))).live(5)
    assert board.version == FIRST
    assert board.last[0] == "rolled-back"
    assert "must start the launcher" in board.last[1]
    assert board.kinds[0].current() == ""


def test_a_revert_takes_the_other_slot_and_then_the_factorys_without_a_download(tmp_path, publisher, board):
    factory = firmware(publisher, tmp_path, FIRST)
    third, fourth = (firmware(publisher, tmp_path, version) for version in ("0.3.0", "0.4.0"))
    committed(board, third)
    committed(board, fourth, seq=2)
    board.said.clear()
    committed(board, third, seq=3)
    assert board.version == "0.3.0"
    assert "downloading" not in board.words
    board.said.clear()
    committed(board, factory, seq=4)
    assert (board.version, board.slot) == (FIRST, "")
    assert "verified" not in board.words
    assert trial(board) is None


def test_firmware_goes_first_and_a_model_that_needs_it_follows(tmp_path, publisher, board):
    """One thing changes at a time; a document that names both is heard again after the restart."""
    model = tiny_model(tmp_path / "model", "1.0")
    heard = document(publisher.add(model), firmware(publisher, tmp_path, "0.3.0"))
    board.hear(heard).live(PROBATION_S + 5)
    assert board.version == "0.3.0"
    assert board.runs.sha256 == digest(board.factory)
    board.hear(heard).live(PROBATION_S + 5)
    assert board.runs.sha256 == digest(model)
    targets = [update.target for update in board.said]
    assert sorted(targets, reverse=True) != targets, "the kinds did not mix"
    assert targets == sorted(targets)


def test_what_a_launcher_turned_to_in_need_stays_once_it_has_lived_and_is_told(tmp_path, publisher, board):
    for seq, version in enumerate(("0.3.0", "0.4.0"), 1):
        committed(board, firmware(publisher, tmp_path, version), seq=seq)
    folder = board.state / "slots" / "firmware"
    assert board.slot == "b"
    (folder / "current").unlink()
    (folder / "current").symlink_to("a")
    (folder / "fell-back").write_text(
        '{"slot": "b", "to": "a", "reason": "INCONSISTENT: its venv is not whole"}'
    )
    (folder / "trial").write_text('{"slot": "a", "before": "", "starts": 0, "limit": 3}')
    board.boot().live(2)
    assert board.version == "0.3.0"
    assert board.updater.complaints() == [
        ("slots/firmware", "slot b was left: INCONSISTENT: its venv is not whole")
    ]
    board.live(PROBATION_S)
    assert trial(board) is None
    committed(board, firmware(publisher, tmp_path, "0.5.0"), seq=3)
    board.live(2)
    assert board.updater.complaints() == []


def test_a_model_is_watched_over_and_gone_back_from_while_firmware_waits_for_its_window(
    tmp_path, publisher, board, monkeypatch
):
    model = publisher.add(tiny_model(tmp_path / "model", "1.0"))
    board.hear(document(model)).live(PROBATION_S + 5)
    program = firmware(publisher, tmp_path, "0.3.0")
    closed = msgspec.structs.replace(program, window="01:00-01:01")
    board.hear(document(model, closed, seq=2)).live(5)
    assert JournalFiles(board.state / "journal").read("firmware").state == "staged"
    monkeypatch.setattr(board.kinds[1], "watch", lambda: Verdict("bad", "cam0 sees nothing with it"))
    board.live(5)
    assert board.runs.sha256 == digest(board.factory)
    assert JournalFiles(board.state / "journal").read("firmware").state == "staged"
    board.hear(document(program, seq=3)).live(PROBATION_S + 5)
    assert board.version == "0.3.0"


def notes(board, name, **fields):
    """Write what a launcher, or a technician, leaves."""
    (board.state / "slots" / "firmware" / name).write_text(json.dumps(fields))


def left(board):
    return (board.state / "slots" / "firmware" / "fell-back").exists()


def to_probation(board, target, seq=1):
    board.hear(document(target, seq=seq)).live(3)
    assert board.last[0] == "probation", board.said[-1]


def test_a_program_that_was_left_is_nothing_that_a_launcher_would_turn_to_in_need(tmp_path, publisher, board):
    committed(board, firmware(publisher, tmp_path, "0.3.0"))
    board.hear(document(firmware(publisher, tmp_path, "0.4.0", "crashes"), seq=2)).live(5)
    assert board.last[0] == "rolled-back"
    slots = board.state / "slots" / "firmware"
    assert ((slots / "a" / "MANIFEST.ok").exists(), (slots / "b" / "MANIFEST.ok").exists()) == (True, False)
    committed(board, firmware(publisher, tmp_path, "0.5.0"), seq=3)
    assert (board.version, board.slot) == ("0.5.0", "b")


def test_going_back_without_a_word_on_a_full_disk_is_no_success(tmp_path, publisher, board):
    to_probation(board, firmware(publisher, tmp_path, "0.3.0"))
    slots = board.state / "slots" / "firmware"
    for name in ("trial", "current"):
        (slots / name).unlink()
    board.boot().live(2)
    assert board.last == ("rolled-back", "the slot is no longer the one that is started")


def test_going_back_that_could_not_even_turn_the_link_is_no_success(tmp_path, publisher, board):
    to_probation(board, firmware(publisher, tmp_path, "0.3.0"))
    board.has_launcher = False  # it starts the one before, and can write nothing
    board.boot().live(3)
    assert board.last[0] == "rolled-back"
    assert "the disk take its notes" in board.last[1]
    assert board.kinds[0].current() == ""


def test_a_program_left_between_its_commit_and_the_end_of_its_trial_is_not_told_as_committed(
    tmp_path, publisher, board
):
    """A cut after the commit was written: its third start was its last."""
    target = firmware(publisher, tmp_path, "0.3.0", sec_ver=2)
    to_probation(board, target)
    files = JournalFiles(board.state / "journal")
    files.write("firmware", moved(files.read("firmware"), "committed"))
    notes(board, "trial", slot="a", before="", starts=3, limit=3)
    board.said.clear()
    board.boot().live(2)
    assert board.version == FIRST
    assert board.words[-1] == "rolled-back"
    assert "committed" not in board.words
    assert board.last[1] == "3 starts without a commit"


def test_a_link_that_was_damaged_is_told_in_the_launchers_words(tmp_path, publisher, board):
    to_probation(board, firmware(publisher, tmp_path, "0.3.0"))
    (board.state / "slots" / "firmware" / "current").unlink()
    notes(board, "fell-back", slot="", to="", reason="INCONSISTENT: current leads to '/x'")
    board.boot().live(2)
    assert board.last == ("rolled-back", "INCONSISTENT: current leads to '/x'")


def test_a_technician_who_turns_a_board_during_a_trial_is_not_overruled(tmp_path, publisher, board):
    committed(board, firmware(publisher, tmp_path, "0.3.0"))
    to_probation(board, firmware(publisher, tmp_path, "0.4.0"), seq=2)
    for name in ("trial", "current"):
        (board.state / "slots" / "firmware" / name).unlink()
    notes(board, "fell-back", slot="b", to="", reason="put back by hand")
    board.boot().live(3)
    assert board.version == FIRST
    assert board.last == ("rolled-back", "put back by hand; not the slot before: the factory's runs")


def test_when_the_one_before_is_broken_the_factorys_runs_and_nothing_goes_round_in_circles(
    tmp_path, publisher, board
):
    """The launcher looks closer than the updater: it finds the slot broken that was to be gone back to."""
    committed(board, firmware(publisher, tmp_path, "0.3.0"))
    to_probation(board, firmware(publisher, tmp_path, "0.4.0"), seq=2)
    board.is_linked = False
    slots = board.state / "slots" / "firmware"
    while board.kinds[0].current() == "b":
        board.updater.round()
        board.mono_s += 600
    assert not (slots / "b" / "MANIFEST.ok").exists(), "the launcher would turn to it"
    (slots / "current").unlink()
    notes(board, "fell-back", slot="a", to="", reason="INCONSISTENT: its interpreter is missing")
    board.boot().live(3)
    assert (board.version, board.last[0]) == (FIRST, "rolled-back")
    assert board.journal.is_inconsistent


def test_a_stray_trial_ends_once_the_program_has_lived_also_while_another_release_is_fetched(
    tmp_path, publisher, board
):
    """Turned to by hand, or in need on a full disk: nobody wrote why."""
    committed(board, firmware(publisher, tmp_path, "0.3.0"))
    notes(board, "trial", slot="a", before="", starts=0, limit=3)
    board.boot()
    board.use()  # no source
    board.hear(document(firmware(publisher, tmp_path, "0.4.0"), seq=2)).live(PROBATION_S - 2)
    assert (board.journal.state, trial(board)["starts"]) == ("downloading", 1)
    board.live(5)
    assert trial(board) is None


def test_what_was_left_is_told_until_the_fleet_could_hear_it(tmp_path, publisher, board):
    committed(board, firmware(publisher, tmp_path, "0.3.0"))
    notes(board, "fell-back", slot="b", to="a", reason="put back by hand")
    board.is_linked = False
    board.boot().live(PROBATION_S + 5)
    assert left(board)
    board.is_linked = True
    board.live(2)
    assert not left(board)
    assert board.updater.complaints() == [("slots/firmware", "slot b was left: put back by hand")]


@pytest.mark.parametrize(("lived_s", "starts"), [(20, 2), (90, 1)])
def test_restarts_by_hand_count_in_the_first_minute_and_not_after_it(
    tmp_path, publisher, board, lived_s, starts
):
    to_probation(board, firmware(publisher, tmp_path, "0.3.0"))
    board.live(lived_s).stop().boot()
    assert trial(board)["starts"] == starts


def test_the_same_document_once_more_does_not_break_off_a_build_and_another_one_does(
    tmp_path, publisher, board
):
    heard, seen = document(firmware(publisher, tmp_path, "0.3.0")), []

    def hear_again():
        for one in (heard, document(*heard.targets, seq=2)):
            board.hear(one)
            seen.append(board.updater._is_over())

    board.builder.while_building = hear_again
    board.hear(heard).live(3)
    assert seen == [False, True]
    assert board.version == "0.3.0"


def test_a_program_that_comes_up_in_safe_mode_is_left(tmp_path, publisher, board):
    target = firmware(publisher, tmp_path, "0.3.0")
    board.safe_with = {"0.3.0": "no such model"}
    board.hear(document(target)).live(6)
    assert (board.version, board.last) == (FIRST, ("rolled-back", "in safe mode with it: no such model"))


def test_a_board_that_was_started_without_the_launcher_says_what_to_do(
    tmp_path, publisher, board, monkeypatch
):
    monkeypatch.delenv("PEHRA_LAUNCHER", raising=False)
    board.builder = FirmwareBuilder(None)
    board.boot().hear(document(firmware(publisher, tmp_path, "0.3.0"))).live(2)
    state, reason = board.last
    assert state == "rejected"
    assert reason.startswith("this board's service starts without the launcher; on the board: sudo pehra")
    assert board.ledger.quarantined == {}
    monkeypatch.setenv("PEHRA_LAUNCHER", "1")
    assert FirmwareBuilder(None).obstacle() == ""


@pytest.mark.parametrize(
    ("raised", "is_told_as"),
    [
        (
            FirmwareUnusable("it sees nothing", "release another", is_final=True),
            UpdateRefused("it sees nothing"),
        ),
        (FirmwareUnusable("no room", "free some", is_final=False), UpdateHindered("no room; free some")),
    ],
)
def test_a_release_at_fault_is_refused_and_a_board_at_fault_tries_again(
    monkeypatch, tmp_path, raised, is_told_as
):
    def fail(*_, **__):
        raise raised

    for deed in ("build", "check"):
        monkeypatch.setattr(f"device.firmware.updating.firmware_builder.{deed}", fail)
    builder = FirmwareBuilder(tmp_path / "device.toml")
    for act in (
        lambda: builder.build(tmp_path, tmp_path, {}, bool),
        lambda: builder.check(tmp_path, "1", bool),
    ):
        with pytest.raises(type(is_told_as)) as caught:
            act()
        assert caught.value.reason == is_told_as.reason


def test_a_disk_that_refuses_while_building_ends_the_action_as_everywhere(tmp_path):
    slot = tmp_path / "slots" / "b"
    slot.parent.write_text("no folder")
    with pytest.raises(OSError, match="Not a directory"):
        FirmwareBuilder(None).build(tmp_path / "x.tar", slot, {}, bool)
