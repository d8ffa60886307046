"""Board and laptop on real pseudo-terminals and sockets: what can be asked, and what a cable can do to it."""

from __future__ import annotations

from tests.boards_on_a_cable import on_a_cable, session_on, write_config


def test_a_board_tells_over_a_serial_line_who_it_is(tmp_path):
    from ota.cable import Identify

    write_config(tmp_path)
    with on_a_cable(tmp_path) as cable, session_on(cable.laptop_port) as session:
        assert session.greet("test").program == "pehra 0.1.0"
        told = session.ask(Identify())
    assert (told.device, told.serial, told.enrolled) == ("cam-01", "100000001234abcd", False)
    assert told.cameras == ["cam0"]
