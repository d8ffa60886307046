"""Which part is started, restarted or given up: pure decisions, and the supervisor that carries them out."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.errors import PartDied
from device.firmware.parts import (
    RESTART_WINDOW_S,
    Part,
    Pulse,
    Situation,
    always,
    next_step,
    unless_safe,
)
from device.firmware.supervisor import Supervisor
from device.firmware.worker import Worker
from tests.brokers import wait_until


class Thing:
    """A part in memory that does what it is told."""

    def __init__(self, name, log):
        self.name, self.log = name, log
        self.is_alive, self.beat_s, self.last_error = False, 0.0, "ValueError: oh"

    def start(self):
        self.is_alive = True
        self.log.append(f"start {self.name}")

    def stop(self):
        self.is_alive = False
        self.log.append(f"stop {self.name}")


def part(work=None, is_needed=always, limit_s=10.0, restarts=2):
    return Part("thing", work, is_needed, limit_s, restarts)


UP = Pulse(is_started=True, is_alive=True, beat_s=100.0)
DOWN = Pulse(is_started=True)
NORMAL, SAFE = Situation(), Situation(is_safe=True)


@pytest.mark.parametrize(
    ("pulse", "situation", "now_s", "step"),
    [
        (Pulse(), NORMAL, 0.0, "start"),
        (Pulse(), SAFE, 0.0, "leave"),
        (UP, NORMAL, 110.0, "leave"),
        (UP, NORMAL, 110.1, "end"),
        (UP, SAFE, 100.0, "stop"),
        (DOWN, NORMAL, 100.0, "restart"),
        (Pulse(is_started=True, restarts_s=(90.0, 95.0)), NORMAL, 100.0, "end"),
        (Pulse(is_started=True, restarts_s=(1.0, 95.0)), NORMAL, 2.0 + RESTART_WINDOW_S, "restart"),
    ],
)
def test_what_is_done_about_a_part(pulse, situation, now_s, step):
    assert next_step(part(is_needed=unless_safe), pulse, situation, now_s) == step


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.booleans(), st.integers(0, 5))
def test_a_part_that_beats_in_time_is_left_alone_whatever_happened_before(beat_s, now_s, is_safe, restarts):
    pulse = Pulse(is_started=True, is_alive=True, beat_s=beat_s, restarts_s=(now_s,) * restarts)
    step = next_step(part(), pulse, Situation(is_safe), now_s)
    assert (step == "leave") is (now_s - beat_s <= 10.0)


def test_parts_start_in_the_tables_order_and_stop_the_other_way_round():
    log = []
    parts = [Part(name, Thing(name, log), always, 1e9) for name in "abc"]
    supervisor = Supervisor(parts, NORMAL, now=lambda: 0.0)
    supervisor.check()
    supervisor.check()
    supervisor.stop()
    supervisor.stop()
    assert log == ["start a", "start b", "start c", "stop c", "stop b", "stop a"]


def test_a_part_that_dies_again_and_again_is_given_up_with_its_last_words():
    log, clock = [], [0.0]
    thing = Thing("a", log)
    supervisor = Supervisor([part(thing)], NORMAL, now=lambda: clock[0])
    supervisor.check()
    for _ in range(2):
        thing.is_alive = False
        supervisor.check()
    thing.is_alive = False
    with pytest.raises(PartDied, match="'thing' is lost: ValueError: oh"):
        supervisor.check()
    assert log == ["start a"] * 3


def test_a_part_that_dies_now_and_then_goes_on_for_ever():
    log, clock = [], [0.0]
    thing = Thing("a", log)
    supervisor = Supervisor([part(thing)], NORMAL, now=lambda: clock[0])
    for day in range(100):
        clock[0] = thing.beat_s = day * 86_400.0
        thing.is_alive = False
        supervisor.check()
    assert len(log) == 100


def test_a_part_that_gives_no_sign_of_life_is_given_up():
    clock = [0.0]
    supervisor = Supervisor([part(Thing("a", []))], NORMAL, now=lambda: clock[0])
    supervisor.check()
    clock[0] = 11.0
    with pytest.raises(PartDied, match="no sign of life for 11 s"):
        supervisor.check()


def test_safe_mode_goes_without_the_parts_that_watch():
    log = []
    parts = [
        Part("link", Thing("link", log), always, 1e9),
        Part("watch", Thing("watch", log), unless_safe, 1e9),
    ]
    Supervisor(parts, SAFE, now=lambda: 0.0).check()
    assert log == ["start link"]


def test_a_part_that_fails_to_stop_does_not_keep_the_others_from_stopping():
    log = []

    class Stubborn(Thing):
        def stop(self):
            raise OSError("I stay")

    parts = [Part("a", Thing("a", log), always, 1e9), Part("b", Stubborn("b", log), always, 1e9)]
    supervisor = Supervisor(parts, NORMAL, now=lambda: 0.0)
    supervisor.check()
    with pytest.raises(OSError, match="I stay"):
        supervisor.stop()
    assert log[-1] == "stop a"


def test_a_workers_sign_of_life_is_that_it_asks_whether_to_stop():
    asked, go_on = threading.Event(), threading.Event()

    def body(stop):
        stop.wait(0.001)
        asked.set()
        go_on.wait()
        while not stop.wait(0.001):
            pass

    worker = Worker("body", body, wake=go_on.set)
    worker.start()
    assert asked.wait(10)
    silent_s = worker.beat_s
    assert worker.is_alive
    assert worker.beat_s == silent_s
    go_on.set()
    wait_until(lambda: worker.beat_s > silent_s, "it beats again")
    worker.stop()
    assert not worker.is_alive


def test_a_worker_that_failed_says_why_and_can_be_started_again(caplog):
    failures = [ValueError("once")]

    def body(stop):
        if failures:
            raise failures.pop()
        stop.wait()

    worker = Worker("body", body)
    worker.start()
    wait_until(lambda: not worker.is_alive, "it has failed")
    assert worker.last_error == "ValueError: once"
    worker.start()
    assert worker.is_alive
    worker.stop()
    assert "part failed part=body" in caplog.text


def test_a_worker_that_hangs_is_left_behind_and_told_of(monkeypatch, caplog):
    monkeypatch.setattr("device.firmware.worker._STOP_S", 0.01)
    release = threading.Event()
    worker = Worker("body", lambda stop: release.wait())
    worker.start()
    worker.stop()
    assert "part does not end part=body" in caplog.text
    release.set()
