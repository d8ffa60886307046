"""What a device reports, and when it does so again."""

from __future__ import annotations

import pytest

from device.firmware.config import parse_config
from device.firmware.outbox import Outbox
from device.firmware.steward import Steward
from ota.messages import ModelInfo, ReportedError
from tests.device_toml import head


class Link:
    """Hears what is said."""

    is_connected = True

    def __init__(self):
        self.said = []

    def say(self, topic, message):
        self.said.append(message)


@pytest.fixture
def steward(tmp_path):
    config = parse_config(head(tmp_path) + '[[camera]]\nsource = "street"\n', tmp_path / "device.toml")
    outbox = Outbox(tmp_path / "outbox.db")
    made = Steward(config, ModelInfo("small", "1.0", "0" * 64), [], outbox)
    made.link = Link()
    yield made
    outbox.close()


def test_what_is_found_wrong_with_what_is_installed_is_reported_at_once_and_once(steward):
    complaints = []
    steward.complaints = lambda: list(complaints)
    steward.work(1.0)
    steward.work(2.0)
    assert [message.errors for message in steward.link.said] == [[]]
    complaints.append(("slots/firmware", "slot b was left: INCONSISTENT: its venv is not whole"))
    steward.work(3.0)
    steward.work(4.0)
    assert [message.errors for message in steward.link.said[1:]] == [[ReportedError(*complaints[0])]]
