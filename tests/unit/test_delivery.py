"""End-to-end delivery from a real outbox, with the broker played by a list."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from device.firmware import delivery as delivery_module
from device.firmware.delivery import Delivery
from device.firmware.outbox import Outbox
from ota.messages import Channel, decode
from tests.unit.test_outbox import TOPIC, event


@pytest.fixture
def outbox(tmp_path):
    box = Outbox(tmp_path / "outbox.db")
    yield box
    box.close()


def filled(outbox, number):
    seqs = [outbox.add(TOPIC, event()) for _ in range(number)]
    outbox.flush()
    return seqs


class Air:
    """What was published, as seq."""

    def __init__(self, outbox, resend_s=30.0):
        self.messages = []
        self.delivery = Delivery(outbox, resend_s, 600.0, self.publish)

    def publish(self, topic, payload):
        self.messages.append(decode(Channel.EVENT, payload))

    @property
    def seqs(self):
        return [message.seq for message in self.messages]


def test_everything_that_waits_is_published_once_oldest_first(outbox):
    air, seqs = Air(outbox), filled(outbox, 30)
    for _ in range(3):
        air.delivery.send_due()
    assert air.seqs == seqs


def test_messages_that_are_never_acknowledged_do_not_silence_those_behind_them(outbox):
    air, seqs = Air(outbox, resend_s=0.0), filled(outbox, delivery_module.WINDOW + 50)
    for _ in range(6):
        air.delivery.send_due()
    assert set(seqs) == set(air.seqs)


def test_a_new_connection_publishes_again_what_is_not_acknowledged(outbox):
    air, seqs = Air(outbox), filled(outbox, 5)
    air.delivery.send_due()
    air.delivery.acknowledged([(seqs[1], seqs[2])])
    outbox.flush()
    air.delivery.begin_anew()
    air.delivery.send_due()
    assert air.seqs == [*seqs, seqs[0], seqs[3], seqs[4]]


def test_a_connection_that_returns_in_the_middle_of_a_round_leaves_nobody_behind(outbox):
    air, seqs = Air(outbox), filled(outbox, 10)
    publish, air.delivery._publish = air.delivery._publish, None

    def interrupted(topic, payload):
        air.delivery._publish = publish
        air.delivery.begin_anew()

    air.delivery._publish = interrupted
    for _ in range(3):
        air.delivery.send_due()
    assert set(air.seqs) == set(seqs)


def test_a_message_that_comes_late_is_marked_as_history(outbox, monkeypatch):
    monkeypatch.setattr(delivery_module, "REPLAYED_AFTER_S", -1.0)
    air = Air(outbox)
    filled(outbox, 1)
    air.delivery.send_due()
    assert air.messages[0].hist


def test_a_stored_message_that_cannot_be_read_is_dropped_counted_and_told(
    outbox, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(delivery_module, "REPLAYED_AFTER_S", -1.0)
    air, seqs = Air(outbox), filled(outbox, 3)
    with closing(sqlite3.connect(tmp_path / "outbox.db")) as db, db:
        db.execute("UPDATE message SET payload = ? WHERE seq = ?", (b"{torn", seqs[1]))
    air.delivery.send_due()
    outbox.flush()
    assert air.seqs == [seqs[0], seqs[2]]
    assert (outbox.depth, outbox.dropped) == (2, 1)
    assert f"seq={seqs[1]}" in caplog.text


class Clock:
    """A clock that a test sets."""

    def __init__(self):
        self.s = 0.0

    def __call__(self):
        return self.s


def absent(outbox, clock, **rate):
    """A delivery whose link was away while the outbox filled."""
    air = Air.__new__(Air)
    air.messages = []
    air.delivery = Delivery(outbox, 30.0, 600.0, air.publish, mono=clock, **rate)
    return air


def test_a_replay_keeps_its_rate_however_often_it_is_asked(outbox):
    clock, seqs = Clock(), filled(outbox, 100)
    air = absent(outbox, clock, replay_per_s=10.0)
    air.delivery.begin_anew()
    for _ in range(50):
        air.delivery.send_due()
    assert len(air.seqs) == 10
    for _ in range(100):
        clock.s += 0.05
        air.delivery.send_due()
        air.delivery.acknowledged([(seqs[0], seqs[-1])])
    assert 59 <= len(air.seqs) <= 60


def test_news_goes_at_once_while_an_old_heap_is_replayed(outbox):
    clock, seqs = Clock(), filled(outbox, 300)
    air = absent(outbox, clock, replay_per_s=5.0)
    air.delivery.begin_anew()
    air.delivery.send_due()
    news = filled(outbox, 20)
    air.delivery.send_due()
    assert air.seqs == seqs[:5] + news


def test_news_finds_room_although_the_replay_is_never_acknowledged(outbox):
    clock = Clock()
    filled(outbox, 500)
    air = absent(outbox, clock, replay_per_s=10_000.0)
    air.delivery.begin_anew()
    for _ in range(3):
        air.delivery.send_due()
    assert len(air.seqs) == delivery_module.REPLAY_WINDOW
    news = filled(outbox, 20)
    air.delivery.send_due()
    assert air.seqs[-20:] == news


def test_what_is_urgent_is_replayed_first_and_the_newest_of_it_before_the_others(outbox):
    seqs = [outbox.add(TOPIC, event(sev)) for sev in ("low", "high", "medium", "high", "low")]
    outbox.flush()
    air = absent(outbox, Clock())
    air.delivery.begin_anew()
    for _ in range(3):
        air.delivery.send_due()
    assert air.seqs == [seqs[3], seqs[1], seqs[0], seqs[2], seqs[4]]


def test_repeats_keep_the_rate_too(outbox):
    clock = Clock()
    filled(outbox, 200)
    air = absent(outbox, clock, replay_per_s=10.0)
    air.delivery.send_due()
    assert len(air.seqs) == 200
    clock.s = 40.0
    for _ in range(20):
        air.delivery.send_due()
    assert len(air.seqs) <= 210


def test_a_clock_that_jumps_two_weeks_back_or_ten_seconds_on_holds_nothing_up(tmp_path):
    wall = Clock()
    wall.s = 1_800_000_000.0
    outbox, air = Outbox(tmp_path / "jumps.db", now=wall), Air.__new__(Air)
    air.messages = []
    air.delivery = Delivery(outbox, 30.0, 600.0, air.publish, now=wall)
    seqs = []
    for jump_s in (0.0, -14 * 86_400.0, 10.0, 0.0):
        wall.s += jump_s
        seqs += [outbox.add(TOPIC, event()) for _ in range(3)]
        outbox.flush()
        air.delivery.send_due()
    assert air.seqs == seqs == sorted(set(seqs))
    outbox.close()
