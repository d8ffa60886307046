"""What the updater does next in each state, whatever a power cut has left; and the files that remember it."""

from __future__ import annotations

from itertools import product
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.firmware.updating.course import Facts, next_deed
from device.firmware.updating.journal import (
    ENDED,
    FIRST_STARTS,
    MOST_STEPS,
    Journal,
    JournalFiles,
    State,
    may_follow,
    moved,
)
from device.firmware.updating.kind import GOOD, Verdict
from device.firmware.updating.ledger import Ledger, LedgerFiles, committed, condemned
from device.firmware.updating.twin import Twin
from ota.messages.desired import Target
from ota.trust.release import Release

STATES = get_args(State)
TARGET = Target("models/small-1.0.tar", 10, {"sha256": "a" * 64})


def deed(state, **facts):
    found = next_deed(Journal(state=state, target=TARGET, slot="a"), Facts(**facts))
    return found.word if not found.reason else (found.word, found.reason)


@pytest.mark.parametrize(
    ("state", "facts", "does"),
    [
        # UPDATES.md: power cut during | at boot
        ("accepted", {}, "obtain"),
        ("downloading", {}, "obtain"),
        ("downloading", {"has_archive": True}, "obtain"),
        ("verified", {"has_archive": True}, "stage"),
        ("verified", {}, "obtain"),
        ("staged", {"is_staged": True}, "arm"),
        ("staged", {"has_archive": True}, "stage"),
        ("staged", {}, "obtain"),
        ("staged", {"is_staged": True, "unwanted": "gone"}, ("cancel", "gone")),
        ("staged", {"is_staged": True, "hold": "in the air"}, ("rest", "in the air")),
        ("downloading", {"is_late": "too late"}, ("fail", "too late")),
        ("armed", {}, "switch"),
        ("armed", {"is_current": True}, "switch"),
        ("armed", {"hold": "in the air"}, ("rest", "in the air")),
        ("armed", {"hold": "in the air", "is_current": True}, "switch"),
        ("armed", {"fell_back": "three starts", "is_current": False}, ("go-back", "three starts")),
        ("switched", {"is_current": True}, "try-out"),
        ("switched", {}, ("go-back", "the slot is no longer the one that is started")),
        ("probation", {"is_current": True}, "rest"),
        ("probation", {"is_current": True, "verdict": GOOD}, "commit"),
        ("probation", {"is_current": True, "verdict": Verdict("bad", "slow")}, ("go-back", "slow")),
        ("probation", {"is_current": True, "fell_back": "no start"}, ("go-back", "no start")),
        ("probation", {"verdict": GOOD}, ("go-back", "the slot is no longer the one that is started")),
        ("committed", {"is_current": True}, "report"),
        ("committed", {"is_current": True, "fell_back": "3 starts"}, ("go-back", "3 starts")),
        ("committed", {}, ("go-back", "the slot is no longer the one that is started")),
        ("reported", {}, "clean"),
        ("rolling-back", {"is_current": True}, "return"),
        ("rolling-back", {}, "return"),
        ("rolling-back", {"is_current": True, "hold": "in the air"}, ("rest", "in the air")),
        ("rolling-back", {"hold": "in the air"}, "return"),
    ],
)
def test_the_power_cut_table(state, facts, does):
    assert deed(state, **facts) == does


@pytest.mark.parametrize("state", ENDED)
def test_what_has_ended_rests_whatever_is_found(state):
    for flags in product([True, False], repeat=3):
        facts = dict(zip(("has_archive", "is_staged", "is_current"), flags, strict=True))
        assert deed(state, **facts, unwanted="x", verdict=GOOD) == "rest"


def test_what_has_touched_the_slots_is_not_cancelled_by_a_change_of_mind():
    for state in (*FIRST_STARTS, "committed", "reported", "rolling-back"):
        assert not may_follow(state, "cancelled")
        assert deed(state, unwanted="gone", is_late="late", is_current=True) not in ("cancel", "fail")


def test_a_failure_that_comes_too_late_says_what_it_waited_for():
    journal = Journal(state="downloading", target=TARGET, reason="no server answers")
    assert next_deed(journal, Facts(is_late="24 h")).reason == "24 h; no server answers"


@pytest.mark.parametrize(
    ("before", "after"),
    [("idle", "armed"), ("accepted", "armed"), ("probation", "failed"), ("rolled-back", "rolling-back")],
)
def test_a_state_that_may_not_follow_is_a_mistake_of_ours(before, after):
    with pytest.raises(ValueError, match="may not follow"):
        moved(Journal(state=before), after)


def test_every_state_but_the_ended_leads_to_an_end():
    for state in STATES:
        assert state in ENDED or any(may_follow(state, after) for after in STATES)


def test_an_action_that_goes_round_in_circles_is_ended():
    journal = Journal(state="downloading", steps=1)
    for _ in range(MOST_STEPS):
        if journal.state == "failed":
            break
        journal = moved(
            journal, "verified" if journal.state == "downloading" else "downloading", reason="bad disk"
        )
    assert journal.state == "failed"
    assert "went round in circles" in journal.reason
    assert "bad disk" in journal.reason


def test_circles_after_the_switch_lead_back_and_going_back_is_never_cut_short():
    journal = Journal(state="switched", steps=MOST_STEPS)
    journal = moved(journal, "probation")
    assert (journal.state, "circles" in journal.reason) == ("rolling-back", True)
    assert moved(journal, "rolled-back", reason="slow").state == "rolled-back"
    assert moved(Journal(state="armed", steps=MOST_STEPS), "rolling-back", reason="slow").reason == "slow"
    assert moved(Journal(state="staged", steps=MOST_STEPS), "cancelled").state == "cancelled"
    assert moved(Journal(state="committed", steps=MOST_STEPS), "reported").state == "reported"


def test_a_journal_outlives_a_damaged_file(tmp_path):
    files = JournalFiles(tmp_path)
    assert files.read("model") == Journal()
    for state in ("accepted", "downloading", "verified"):
        files.write("model", Journal(state=state, target=TARGET))
    assert files.read("firmware").state == "idle"
    older, newest = sorted(tmp_path.glob("model.*"), key=lambda file: file.read_bytes().count(b"verified"))
    for damage in (
        b"",
        b"\0" * 500,
        newest.read_bytes()[:-9],
        newest.read_bytes().replace(b"small", b"smell"),
    ):
        newest.write_bytes(damage)
        assert files.read("model").state == "downloading"
    older.write_bytes(b"")
    assert files.read("model") == Journal()


@given(st.binary(max_size=300))
def test_no_bytes_make_a_journal_that_was_not_written(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("journal")
    (folder / "model.a").write_bytes(content)
    assert JournalFiles(folder).read("model") == Journal()


class Number(msgspec.Struct, frozen=True):
    value: int = 0


def test_a_twin_writes_over_the_older_file(tmp_path):
    twin = Twin(tmp_path / "new", "number", Number())
    for value in range(1, 6):
        twin.write(Number(value))
        assert twin.read().value == value
    (tmp_path / "new" / "number.a").unlink()
    assert twin.read().value in (4, 5)


RELEASE = Release(kind="model", name="small", version="1.0", hw=["any"], sec_ver=3)


def test_a_floor_rises_and_never_falls():
    ledger = committed(Ledger(), RELEASE, "a" * 64)
    assert ledger.floor(RELEASE) == 3
    assert committed(ledger, msgspec.structs.replace(RELEASE, sec_ver=1), "b" * 64).floor(RELEASE) == 3
    assert ledger.floor(msgspec.structs.replace(RELEASE, name="other")) == 0
    assert ledger.floor(msgspec.structs.replace(RELEASE, kind="firmware")) == 0


def test_quarantine_is_by_hash_and_what_was_good_before_may_come_back():
    ledger = condemned(committed(Ledger(), RELEASE, "a" * 64), "b" * 64, "slow")
    assert ledger.ban("b" * 64) == "slow"
    assert ledger.ban("c" * 64) == ""
    assert condemned(ledger, "a" * 64, "slow today").ban("a" * 64) == ""
    assert condemned(ledger, "a" * 64, "blind", was_good=True).ban("a" * 64) == "blind"
    assert (
        committed(condemned(ledger, "a" * 64, "blind", was_good=True), RELEASE, "a" * 64).ban("a" * 64) == ""
    )


def test_the_ledger_stays_small():
    ledger = Ledger()
    for number in range(500):
        ledger = condemned(committed(ledger, RELEASE, f"{number:064x}"), f"{number + 1000:064x}", "x" * 400)
    assert len(msgspec.json.encode(ledger)) < 32_768


def test_a_ledger_that_says_nothing_new_is_not_written(tmp_path):
    files = LedgerFiles(tmp_path)
    files.write(committed(Ledger(), RELEASE, "a" * 64))
    before = {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    files.write(committed(files.read(), RELEASE, "a" * 64))
    assert {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == before
