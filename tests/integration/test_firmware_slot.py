"""A firmware is made of a wheelhouse in a slot, by a real pip, and says whether it works."""

from __future__ import annotations

import pytest

from device.errors import FirmwareUnusable
from device.firmware.updating.firmware_slot import build, check, read_manifest
from tests.small_wheels import firmware, packed


@pytest.fixture
def slot(tmp_path):
    return tmp_path / "slots/firmware/b"


def test_a_firmware_is_built_and_says_who_it_is(tmp_path, slot):
    archive = packed(firmware(tmp_path / "wheels", "2.0"))
    slot.mkdir(parents=True)
    (slot / "left").write_text("of an attempt that was cut")
    manifest = build(archive, slot)
    assert read_manifest(slot) == manifest
    assert {path.name for path in slot.iterdir()} == {"venv", "MANIFEST.ok"}
    assert check(slot, "2.0") == manifest
    with pytest.raises(FirmwareUnusable, match=r"signed was 2\.1"):
        check(slot, "2.1")
