"""What a board and a laptop may say to each other, and what of a Wi-Fi network neither lets pass."""

from __future__ import annotations

import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ota import cable
from ota.cable import (
    GREETING,
    Answer,
    Refused,
    Request,
    answer_of,
    cut,
    encoded,
    news_of,
    request_of,
    wifi_fault,
)
from ota.errors import BadMessage


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_anything_else_is_refused_and_nothing_else_is_raised(junk):
    for read in (request_of, answer_of, news_of):
        with pytest.raises(BadMessage):
            read(junk)


def test_a_deeply_nested_message_is_refused():
    with pytest.raises(BadMessage):
        request_of(b'{"type":"identify","x":' + b"[" * 100_000)


def test_a_field_of_a_later_version_is_passed_over():
    assert answer_of(b'{"type":"refused","code":"x","reason":"y","new":1}') == Refused(code="x", reason="y")


def test_no_answer_has_a_field_for_a_password_a_key_or_a_claim():
    names = {name for kind in typing.get_args(Answer) for name in kind.__struct_fields__}
    assert not {name for name in names if "password" in name or "key" in name or "ticket" in name}


def test_no_request_runs_a_command():
    names = {kind.__struct_config__.tag for kind in typing.get_args(Request)}
    assert names == {"hello", "identify", "wifi", "claim", "check", "log", "picture", "restart"}


def test_what_a_terminal_shows_is_one_line_of_plain_ascii_that_names_the_command():
    assert GREETING.isascii()
    assert GREETING.count(b"\n") == 1
    assert GREETING.endswith(b"\r\n")
    assert b"pehra provision" in GREETING


@pytest.mark.parametrize(
    ("ssid", "password"),
    [
        ("Shop 12", "eight888"),
        ('it\'s "quoted" $(reboot) `x`', "pass'word\"$HOME"),
        ("لاہور کیمرے", "پاس ورڈ ہے"),
        ("open", ""),
        ("x" * 32, "y" * 63),
        ("home", "0123456789abcdef" * 4),
        ("--help", "-wpasswordx"),
    ],
)
def test_names_and_passwords_that_networks_may_have_are_let_pass(ssid, password):
    assert wifi_fault(ssid, password) == ""


@pytest.mark.parametrize(
    ("ssid", "password", "why"),
    [
        ("", "eight888", "1 to 32 bytes"),
        ("ل" * 17, "eight888", "this one 34"),
        ("line\nbreak", "eight888", "line break"),
        ("bell\x07", "eight888", "control"),
        ("home", "seven77", "8 to 63"),
        ("home", "x" * 65, "8 to 63"),
        ("home", "two\nlines1", "line break"),
        ("home", "psk:\x00nul-byte", "control"),
    ],
)
def test_names_and_passwords_that_none_can_have_are_told_why(ssid, password, why):
    assert why in wifi_fault(ssid, password)


@given(st.text(max_size=600))
def test_what_is_cut_fits_and_moves_no_cursor(text):
    told = cut(text)
    assert len(told) <= 400
    assert all(ord(char) >= 32 and not 127 <= ord(char) < 160 for char in told)


def test_the_longest_claim_and_the_longest_line_fit_into_a_frame():
    from hardware.cable.framing import MAX_PAYLOAD_BYTES

    assert len(encoded(cable.GiveClaim(ticket="x" * 4096))) < MAX_PAYLOAD_BYTES
    assert len(encoded(cable.LogLine(text="\U0001f600" * 400))) < MAX_PAYLOAD_BYTES
    full = cable.Checked(check="ﷺ" * 100, result="warn", found="ﷺ" * 400, todo="ﷺ" * 400)
    assert len(encoded(full)) < MAX_PAYLOAD_BYTES
