"""Commands: once each, before their deadline, or refused with the reason; and the log that may be read."""

from __future__ import annotations

import logging

import msgspec
import pytest

from device.firmware.outbox import Outbox
from device.firmware.remote import Answer, Commands, Deed, LogRing
from device.firmware.remote import commands as commands_module
from ota.messages import Command, format_ts, new_id

NOW = 1_790_000_000.0


class Args(msgspec.Struct, forbid_unknown_fields=True):
    number: int = 0


class Board:
    """A device with two deeds, clocks that a test sets, and a real outbox for its memory."""

    def __init__(self, folder):
        self.folder, self.wall_s, self.mono_s, self.done = folder, NOW, 10.0, []
        self.start()

    def start(self):
        self.outbox = Outbox(self.folder / "outbox.db", now=lambda: self.wall_s, mono=lambda: self.mono_s)
        deeds = {
            "count": Deed(Args, self._do, "args number"),
            "read": Deed(Args, self._do, "args number", is_reading=True),
            "fail": Deed(Args, self._fail, "args number"),
        }
        self.commands = Commands(deeds, self.outbox, now=lambda: self.wall_s, mono=lambda: self.mono_s)

    def restart(self):
        self.outbox.close()
        self.start()

    def _do(self, args):
        self.done.append(args.number)
        return Answer()

    def _fail(self, args):
        raise RuntimeError(args)


@pytest.fixture
def board(tmp_path):
    made = Board(tmp_path)
    yield made
    made.outbox.close()


def command(life_s=30.0, at_s=NOW, **args):
    return Command(id=new_id(), ts=format_ts(at_s), deadline=format_ts(at_s + life_s), args=args)


def test_a_command_is_done_once_and_a_repeat_gets_the_first_answer(board):
    one = command(number=3)
    assert [board.commands.obey("count", one) for _ in range(3)] == [Answer()] * 3
    assert board.done == [3]


def test_a_repeat_after_a_restart_is_still_known_until_its_deadline(board):
    one = command(number=3)
    board.commands.obey("count", one)
    board.restart()
    board.wall_s += 20
    assert board.commands.obey("count", one) == Answer()
    assert board.done == [3]
    board.wall_s += 20
    assert "deadline" in board.commands.obey("count", one).reason
    assert board.done == [3]


def test_what_is_past_its_deadline_is_refused_by_name(board):
    late = command(5.0, NOW - 60)
    assert board.commands.obey("count", late).reason == f"the deadline {late.deadline} has passed"
    assert board.done == []


@pytest.mark.parametrize(
    ("name", "args", "words"),
    [
        ("reformat", {}, "no command 'reformat'; it has count, fail, read"),
        ("count", {"number": "seven"}, "args number"),
        ("count", {"colour": "red"}, "unknown field"),
        ("fail", {}, "fault of ours"),
    ],
)
def test_a_command_that_cannot_be_done_is_answered_with_the_reason(board, name, args, words):
    assert words in board.commands.obey(name, command(**args)).reason
    assert board.done == []


def test_a_deadline_of_no_moment_and_one_in_a_year_are_refused(board):
    odd = msgspec.structs.replace(command(), deadline="2026-13-40T25:61:61.000Z")
    assert "2026-13-40" in board.commands.obey("count", odd).reason
    assert "more than a day" in board.commands.obey("count", command(365 * 86_400.0)).reason


def test_memory_is_bounded_and_a_full_one_refuses_rather_than_forgets(board, monkeypatch):
    monkeypatch.setattr(commands_module, "REMEMBERED", 5)
    first = command(number=0)
    board.commands.obey("count", first)
    for number in range(1, 9):
        board.commands.obey("count", command(number=number))
    assert board.done == [0, 1, 2, 3, 4]
    assert "try again later" in board.commands.obey("count", command(number=9)).reason
    assert board.commands.obey("count", first) == Answer()
    board.mono_s += 31
    board.commands.obey("count", command(number=10))
    assert board.done == [0, 1, 2, 3, 4, 10]


@pytest.mark.parametrize("jump_s", [-14 * 86_400.0, 10.0])
def test_a_jump_of_the_clock_neither_repeats_a_deed_nor_blocks_the_next(board, jump_s):
    one = command(number=1)
    board.commands.obey("count", one)
    board.wall_s += jump_s
    board.commands.obey("count", one)
    assert board.commands.obey("count", command(number=2)) == Answer()
    assert board.done == [1, 2]


def test_reading_again_is_no_deed_and_is_simply_answered(board):
    one = command(number=1)
    assert board.commands.obey("read", one) == board.commands.obey("read", one) == Answer()
    assert board.done == [1, 1]


@pytest.fixture
def ring():
    made, log = LogRing(kept=5), logging.getLogger("tests.ring")
    log.addHandler(made)
    log.setLevel(logging.INFO)
    yield made, log
    log.removeHandler(made)


def test_the_log_that_may_be_read_is_bounded_in_lines_and_in_their_length(ring):
    made, log = ring
    for number in range(9):
        log.info("line %d %s", number, "x" * 500)
    assert [line.split()[5] for line in made.last(100)] == ["4", "5", "6", "7", "8"]
    assert len(made.last(3)) == 3
    assert made.last(0) == ()
    assert {len(line) for line in made.last(9)} == {200}


def test_secrets_are_masked_in_it_and_a_line_stays_a_line(ring):
    made, log = ring
    made.hide("hunter2", "")
    log.info("link password hunter2 broker")
    log.info("open rtsp://admin:s3cret@10.0.0.3/stream failed")
    log.info("settings password='tiger 7' token=abcdef user=bob")
    log.info("two\nlines")
    text = "\n".join(made.last(9))
    for secret in ("hunter2", "s3cret", "admin", "tiger", "abcdef"):
        assert secret not in text
    assert "10.0.0.3" in text
    assert "user=bob" in text
    assert made.last(1)[0].endswith("two lines")
