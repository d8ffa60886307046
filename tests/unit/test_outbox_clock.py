"""Clocks that were not set, and clocks that jump: stamps are right afterwards, numbers rise."""

from __future__ import annotations

import pytest

from device.firmware.clock import clock_state
from device.firmware.counts import Counts
from device.firmware.outbox import Outbox
from ota.messages import Channel, Count, Event, Topic, decode, format_ts, new_id, parse_ts
from tests.unit.test_outbox import COUNTS, TOPIC

NOW = 1_790_000_000.0


class Board:
    """A board whose wall clock wakes in 1970 and whose monotonic clock runs on."""

    def __init__(self, folder, boot="boot-1"):
        self.folder, self.boot = folder, boot
        self.mono_s, self.offset_s = 50.0, -20.0

    def wall(self):
        return self.mono_s + self.offset_s

    def mono(self):
        return self.mono_s

    def open(self):
        return Outbox(self.folder / "outbox.db", now=self.wall, mono=self.mono, boot=self.boot)

    def set_clock(self, utc_s):
        self.offset_s = utc_s - self.mono_s

    def event(self, outbox):
        ts, clock = format_ts(self.wall()), clock_state(self.wall())
        return outbox.add(
            TOPIC,
            lambda seq: Event(
                id=new_id(), ts=ts, clock=clock, seq=seq, cam="cam0", kind="line-cross", rule="gate"
            ),
        )


def stamps(outbox):
    """Seconds and clock state of what waits."""
    found = [decode(Topic.parse(e.topic).channel, e.payload) for e in outbox.after(0, 10_000)]
    return [(parse_ts(message.ts), message.clock) for message in found]


def test_a_message_from_before_the_clock_was_set_tells_its_moment_afterwards(tmp_path):
    board = Board(tmp_path)
    outbox = board.open()
    board.event(outbox)
    outbox.flush()
    assert stamps(outbox) == [(30.0, "unsynced")]
    board.mono_s += 100
    board.event(outbox)
    board.mono_s += 7
    board.set_clock(NOW)
    board.event(outbox)
    outbox.flush()
    assert stamps(outbox) == [(NOW - 107, "synced"), (NOW - 7, "synced"), (NOW, "synced")]
    outbox.close()


def test_until_when_an_event_was_amended_moves_with_its_stamp(tmp_path):
    board = Board(tmp_path)
    outbox = board.open()
    ts, until = format_ts(board.wall()), format_ts(board.wall() + 5)
    outbox.add(
        TOPIC,
        lambda seq: Event(
            id=new_id(), ts=ts, clock="unsynced", seq=seq, cam="cam0", kind="x", rule="gate", n=2, until=until
        ),
    )
    board.set_clock(NOW)
    outbox.flush()
    ((waiting),) = outbox.after(0, 10)
    event = decode(Channel.EVENT, waiting.payload)
    assert parse_ts(event.until) - parse_ts(event.ts) == pytest.approx(5)
    assert event.clock == "synced"
    outbox.close()


def test_nothing_new_need_be_made_for_the_old_to_be_corrected(tmp_path):
    board = Board(tmp_path)
    outbox = board.open()
    for _ in range(1200):
        board.event(outbox)
    outbox.flush()
    board.set_clock(NOW)
    for _ in range(4):
        outbox.flush()
    assert set(stamps(outbox)) == {(NOW, "synced")}
    assert outbox.size_bytes == sum(len(e.payload) + len(e.topic) for e in outbox.after(0, 10_000))
    outbox.close()


def test_a_restart_within_one_boot_keeps_the_way_to_the_right_moment(tmp_path):
    board = Board(tmp_path)
    outbox = board.open()
    board.event(outbox)
    outbox.close()
    board.mono_s += 60
    board.set_clock(NOW)
    outbox = board.open()
    outbox.flush()
    assert stamps(outbox) == [(NOW - 60, "synced")]
    outbox.close()


def test_what_an_earlier_boot_left_stays_unsynced_because_nobody_knows_how_long_it_was_off(tmp_path):
    board = Board(tmp_path)
    outbox = board.open()
    board.event(outbox)
    outbox.close()
    later = Board(tmp_path, boot="boot-2")
    later.set_clock(NOW)
    outbox = later.open()
    later.event(outbox)
    outbox.flush()
    assert stamps(outbox) == [(30.0, "unsynced"), (NOW, "synced")]
    outbox.close()


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_count_that_began_in_1970_and_closes_in_the_present_is_moved_whole(tmp_path, is_restarted):
    board = Board(tmp_path)
    outbox, counts = board.open(), Counts(("gate",))
    board.mono_s, board.offset_s = 80.0, 0.0
    board.event(outbox)
    counts.watch(board.wall())
    counts.add("gate", "car", "in", board.wall())
    outbox.flush()
    board.mono_s += 30
    if is_restarted:
        outbox.close()
        outbox = board.open()
    board.set_clock(NOW)
    for closed in counts.watch(board.wall()):
        stamp = closed.to_s
        outbox.add(
            COUNTS,
            lambda seq, closed=closed, stamp=stamp: Count(
                id=new_id(),
                ts=format_ts(stamp),
                clock=clock_state(stamp),
                seq=seq,
                cam="cam0",
                rule="gate",
                bucket_s=closed.bucket_s,
                from_ts=format_ts(closed.from_s),
                to_ts=format_ts(stamp),
                counts=closed.counts,
            ),
        )
    outbox.flush()
    found = [decode(Channel.COUNT, e.payload) for e in outbox.after(0, 9) if "/count/" in e.topic]
    assert [c.bucket_s for c in found] == [60, 900]
    assert {c.clock for c in found} == {"synced"}
    assert [parse_ts(c.from_ts) for c in found] == [NOW - 110 + 60, NOW - 110]
    assert {parse_ts(c.ts) for c in found} == {NOW - 30}
    outbox.close()


def test_numbers_rise_through_jumps_of_two_weeks_back_and_ten_seconds_on_and_a_restart(tmp_path):
    board = Board(tmp_path)
    board.set_clock(NOW)
    outbox, seqs = board.open(), []
    for jump_s in (0.0, -14 * 86_400.0, 10.0):
        board.offset_s += jump_s
        seqs += [board.event(outbox) for _ in range(3)]
        outbox.close()
        outbox = board.open()
    assert seqs == sorted(set(seqs))
    assert {clock for _, clock in stamps(outbox)} == {"synced"}
    outbox.close()
