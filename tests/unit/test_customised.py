"""What the first boot applied is read; what is not such a record is nothing."""

import pytest

from device.firmware.customised import APPLIED, read_applied

GOOD = '{"v":1,"sha256":"%s","format":"firstrun","at":"1970-01-01T00:00:00Z","result":"ok","step":""}'


def test_a_record_is_read(tmp_path):
    (tmp_path / APPLIED).write_text(GOOD % ("ab" * 32))
    found = read_applied(tmp_path)
    assert found
    assert (found.sha256, found.format, found.result) == ("ab" * 32, "firstrun", "ok")


def test_a_board_set_up_by_hand_has_none(tmp_path):
    assert read_applied(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{", "[]", GOOD % "xyz", GOOD[:-1] % ("ab" * 32), "\xff" * 9000])
def test_a_damaged_record_is_none_and_is_logged(tmp_path, text, caplog):
    (tmp_path / APPLIED).write_text(text, "latin-1")
    assert read_applied(tmp_path) is None
    assert "the record of the first boot cannot be read" in caplog.text
