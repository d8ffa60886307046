"""When starts become a crash loop, how long safe mode waits, and the file that remembers."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.firmware.config import load_config
from device.firmware.life import Life, _what_starts
from device.firmware.starts import (
    STARTS_FILE,
    Limits,
    Moment,
    Record,
    StartLog,
    begun,
    is_loop,
    reason,
    recent,
    tried_again,
    wait_s,
)
from device.firmware.updating.journal import Journal, JournalFiles
from tests.device_toml import head

LIMITS = Limits(most=3, window_s=100.0, stable_s=10.0, first_wait_s=60.0, longest_wait_s=200.0)


class Clock:
    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def open_log(tmp_path, clock):
    """Opens the record as a new process would."""

    def run(config="a", boot="boot-1", limits=LIMITS):
        return StartLog(tmp_path, config, limits, now=clock, boot=boot)

    return run


def die(open_log, part="", error="", **options):
    log = open_log(**options)
    assert not log.is_loop
    log.begin()
    if part:
        log.fail(part, error)


def test_starts_that_do_not_live_are_a_loop_with_the_last_words_as_its_reason(open_log):
    die(open_log)
    die(open_log)
    die(open_log, "watch", "ValueError: oh")
    log = open_log()
    assert log.is_loop
    assert log.reason == "3 starts failed, the last in watch: ValueError: oh"


def test_a_process_that_was_killed_left_no_words(open_log):
    for _ in range(3):
        die(open_log)
    assert open_log().reason == (
        "3 starts failed, the last without a word (killed, out of memory, or the power)"
    )


def test_a_start_that_lived_long_enough_clears_all_and_its_end_is_not_counted(open_log, clock):
    die(open_log)
    die(open_log)
    log = open_log()
    log.begin()
    log.note_alive()
    clock.now_s += LIMITS.stable_s
    log.note_alive()
    log.fail("link", "late")
    assert open_log().record == Record("a")


def test_a_stop_in_order_is_no_failure(open_log):
    for _ in range(10):
        log = open_log()
        log.begin()
        log.withdraw()
    assert not open_log().is_loop


def test_starts_of_long_ago_do_not_count(open_log, clock):
    for _ in range(10):
        die(open_log)
        clock.now_s += LIMITS.window_s / 2
    assert not open_log().is_loop


def test_starts_of_an_earlier_boot_count_as_if_made_when_this_one_began(open_log, clock):
    """A driver that takes the board down with it is a crash loop too; the clock began anew with each boot."""
    clock.now_s = 90_000.0
    die(open_log, boot="boot-1")
    die(open_log, boot="boot-1")
    clock.now_s = 5.0
    die(open_log, boot="boot-2")
    assert open_log(boot="boot-2").is_loop
    clock.now_s = 101.0
    assert not open_log(boot="boot-3").is_loop


def test_another_configuration_begins_with_a_clean_sheet(open_log):
    for _ in range(3):
        die(open_log)
    assert open_log(config="a").is_loop
    assert not open_log(config="b").is_loop
    log = open_log(config="b")
    log.begin()
    assert len(log.record.attempts) == 1


def test_after_safe_mode_one_failure_is_enough_and_the_wait_doubles_up_to_the_longest(open_log):
    for _ in range(3):
        die(open_log)
    waits = []
    for _ in range(4):
        log = open_log()
        assert log.is_loop
        waits.append(log.wait_s)
        log.try_again()
        die(open_log, "cam0", "gone")
    assert waits == [60.0, 120.0, 200.0, 200.0]
    assert open_log().reason == "failed again after 4 tries, the last in cam0: gone"


def test_safe_mode_is_over_for_good_when_a_try_lives(open_log, clock):
    for _ in range(3):
        die(open_log)
    open_log().try_again()
    log = open_log()
    log.begin()
    clock.now_s += 10
    log.note_alive()
    assert log.wait_s == 60.0
    die(open_log)
    assert not open_log().is_loop


@pytest.mark.parametrize("content", [b"", b"{", b'{"attempts": 3}', b"\xff\xfe", b"[]"])
def test_a_damaged_record_begins_anew_and_is_told(open_log, tmp_path, content, caplog):
    (tmp_path / STARTS_FILE).write_bytes(content)
    die(open_log)
    assert len(open_log().record.attempts) == 1
    assert "cannot be read" in caplog.text


def test_a_disk_that_refuses_the_record_does_not_keep_the_device_from_starting(tmp_path, clock, caplog):
    (tmp_path / "file").write_text("")
    log = StartLog(tmp_path / "file" / "state", "a", LIMITS, now=clock)
    log.begin()
    log.note_alive()
    log.withdraw()
    assert "cannot be written" in caplog.text


@given(st.lists(st.tuples(st.sampled_from(["x", "y"]), st.floats(0, 1e7)), max_size=40))
def test_the_record_stays_small_whatever_happens(starts):
    record = Record()
    for boot, at_s in starts:
        record = begun(record, "a", Moment(boot, at_s), LIMITS)
        assert len(record.attempts) <= LIMITS.most


@given(st.integers(0, 10_000))
def test_waits_never_run_away(tries):
    record = Record("a", tries=tries)
    assert LIMITS.first_wait_s <= wait_s(record, LIMITS) <= LIMITS.longest_wait_s
    assert tried_again(record).attempts == ()
    assert not is_loop(record, "a", Moment("x", 0.0), LIMITS)
    assert recent(record, Moment("x", 0.0), LIMITS) == ()


def test_one_failed_start_is_one():
    record = begun(Record("a", tries=1), "a", Moment("x", 1.0), LIMITS)
    assert reason(record).startswith("failed again after 1 try, the last without a word")


def test_a_crash_loop_with_a_model_on_probation_goes_back_from_the_model_and_not_into_safe_mode(tmp_path):
    file = tmp_path / "device.toml"
    file.write_text(head(tmp_path / "state") + '[[camera]]\nsource = "street"\n')
    life, config = Life(file, threading.Event()), load_config(file)
    files = JournalFiles(tmp_path / "state" / "journal")
    files.write("model", Journal(state="probation", slot="a", starts=2, action="x" * 36))
    starts = StartLog(tmp_path / "state", _what_starts(file, config))
    for _ in range(5):
        starts.begin()
    assert starts.is_loop
    assert life._live_once() is None
    assert files.read("model").state == "rolling-back"
    assert files.read("model").reason.startswith("5 starts failed")
    assert not StartLog(tmp_path / "state", _what_starts(file, config)).is_loop


def test_failed_starts_of_a_firmware_on_trial_do_not_bring_the_one_before_into_safe_mode(
    tmp_path, monkeypatch
):
    file = tmp_path / "device.toml"
    file.write_text(head(tmp_path / "state") + '[[camera]]\nsource = "street"\n')
    config = load_config(file)

    def log_of(version, slot):
        monkeypatch.setattr("device.firmware.life.version", lambda name: version)
        monkeypatch.setattr("device.firmware.life.running_slot", lambda state: slot)
        return StartLog(tmp_path / "state", _what_starts(file, config))

    for version, slot in (("0.3.0", "b"), ("0.2.0", ""), ("0.3.0", "a")):
        starts = log_of(version, slot)
        assert not starts.is_loop
        for _ in range(5):
            starts.begin()
        assert log_of(version, slot).is_loop
