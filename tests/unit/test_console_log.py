"""The log over the cable: its last lines, without a secret."""

from __future__ import annotations

import sys

import pytest

from device.errors import StateUnavailable
from device.firmware.console.journal import hidden, last_lines
from ota.enrolment import ticket_text
from tests.boards_on_a_cable import TICKET


def test_secrets_of_every_kind_are_hidden():
    lines = [
        "link password=hunter22 user=cam",
        "camera=rtsp://admin:letmein@10.0.0.9/stream state=lost",
        f"claim given {ticket_text(TICKET)}",
        f"claim {TICKET.claim} was taken",
        "the broker said s3cret-of-mqtt is wrong",
        "-----BEGIN EC PRIVATE KEY----- MHcCAQEE",
    ]
    told = "\n".join(hidden(lines, "s3cret-of-mqtt", TICKET.claim))
    for secret in ("hunter22", "letmein", TICKET.claim, ticket_text(TICKET), "s3cret-of-mqtt", "MHcCAQEE"):
        assert secret not in told
    assert "state=lost" in told


def test_the_last_lines_of_a_file_are_read_oldest_first(tmp_path):
    log = tmp_path / "log"
    log.write_bytes("".join(f"line {n}\n" for n in range(1000)).encode() + b"\xff\xfe broken\n")
    assert last_lines(3, log)[:2] == ["line 998", "line 999"]


def test_a_log_that_cannot_be_read_is_told(tmp_path):
    with pytest.raises(StateUnavailable, match="cannot be read"):
        last_lines(3, tmp_path / "none")


def test_the_journal_is_asked_for_the_cameras_unit_alone(tmp_path):
    program = tmp_path / "journalctl"
    program.write_text(f"#!{sys.executable}\nimport sys\nprint(*sys.argv[1:], sep='\\n')\n")
    program.chmod(0o755)
    asked = last_lines(500, None, str(program))
    assert asked[:4] == ["--unit", "pehra-device.service", "--lines", "500"]


def test_a_journal_that_may_not_be_read_says_which_group_is_missing(tmp_path):
    program = tmp_path / "journalctl"
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('No journal files were opened')\n")
    program.chmod(0o755)
    with pytest.raises(StateUnavailable, match="group systemd-journal"):
        last_lines(5, None, str(program))
    with pytest.raises(StateUnavailable, match="--log FILE"):
        last_lines(5, None, "journalctl-that-is-not-there")
