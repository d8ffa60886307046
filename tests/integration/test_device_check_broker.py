"""The check of the link against a real Mosquitto: let in, or told why not."""

from __future__ import annotations

import threading

import pytest

from device.check.link import look_at_link
from device.firmware.config import MqttSection
from tests.brokers import SECRETS, as_user, running_mosquitto, wait_until


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with running_mosquitto(tmp_path_factory.mktemp("broker")) as running:
        yield running


def last_finding(broker, password, *, may_log_in=True):
    mqtt = MqttSection(host="127.0.0.1", port=broker.port, username="cam-01", password=password)
    return list(look_at_link("cam-01", mqtt, threading.Event(), may_log_in=may_log_in))[-1]


def test_a_device_with_its_password_is_let_in(broker):
    finding = last_finding(broker, SECRETS["cam-01"])
    assert (finding.check, finding.result) == ("link: mqtt", "ok"), finding


def test_a_wrong_password_is_told_as_what_it_is(broker):
    finding = last_finding(broker, "wrong")
    assert finding.result == "fail"
    assert "password" in finding.found + finding.do


def test_a_device_that_runs_keeps_its_connection_through_a_check(broker):
    with as_user(broker, "cam-01") as client:
        ended = threading.Event()
        client.client.on_disconnect = lambda *_: ended.set()
        assert last_finding(broker, SECRETS["cam-01"], may_log_in=False).result == "ok"
        assert not ended.is_set()
        last_finding(broker, SECRETS["cam-01"])
        wait_until(ended.is_set, "the same login a second time ends the first: why the check leaves it out")
