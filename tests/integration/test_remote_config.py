"""Configuration and commands from afar: the real device, the real fleet, over a real Mosquitto."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing

import httpx
import pytest

from ota.messages import Channel, Topic
from tests.brokers import Mosquitto, running_mosquitto, wait_until
from tests.integration.test_device_on_the_air import Listener
from tests.system.programs import Device, Fleet

YARD = """\
[[camera]]
id = "cam0"
fps = 8
motion = { enabled = false }

[[camera.rule]]
name = "yard"
kind = "zone"
points = [[0.0, 0.3], [1.0, 0.3], [1.0, 1.0], [0.0, 1.0]]
"""


def quick(device):
    """Let a device confirm after a second."""
    config = device.state.parent / f"{device.device}.toml"
    config.write_text(config.read_text() + "\n[remote]\nconfirm_s = 1\n")
    return device


class House:
    """A broker, a fleet manager and a device."""

    def __init__(self, folder):
        self.broker = Mosquitto(folder / "broker")
        self.fleet = Fleet(self.broker, folder)
        self.device = quick(Device(self.broker.port, folder, password=self.broker.secrets["cam-01"]))
        self.url = f"http://127.0.0.1:{self.fleet.port}/api/v1/devices/cam-01"

    def start(self):
        self.broker.start()
        self.fleet.start()
        self.device.start()
        wait_until(lambda: httpx.get(self.url).status_code == 200, self.logs, 60)

    def logs(self):
        return self.device.log.read_text()[-3000:] + self.fleet.log.read_text()[-2000:]

    def put(self, overlay):
        return httpx.put(f"{self.url}/config", json={"overlay": overlay}, timeout=20)

    def config(self):
        return httpx.get(f"{self.url}/config", timeout=20).json()

    def becomes(self, state, deadline_s=60):
        wait_until(
            lambda: self.config()["state"] == state,
            lambda: f"{state}: {self.config()}\n{self.logs()}",
            deadline_s,
        )
        return self.config()

    def end(self):
        self.device.end()
        self.fleet.end()
        self.broker.stop()


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.end()


def rules_of(house):
    cameras = httpx.get(house.url, timeout=20).json()["info"]["cameras"]
    return [rule["name"] for rule in cameras[0]["rules"]]


@pytest.mark.timeout(240)
def test_a_configuration_is_applied_a_bad_one_is_refused_and_both_outlive_kills_and_the_broker(house):
    assert house.config()["state"] == "none"
    answer = house.put(YARD)
    assert answer.status_code == 200, answer.text
    applied = house.becomes("applied")
    assert applied["reported"]["seq"] == applied["desired"]["seq"]
    assert applied["reported"]["overlay_sha256"] == applied["desired"]["sha256"]
    wait_until(lambda: rules_of(house) == ["yard"], "the birth certificate tells the new rules")
    assert house.device.process.poll() is None, "it was the same process all the time"

    assert house.put(YARD).json()["desired"] == applied["desired"], "the same again is no change"
    house.put(YARD + 'colour = "red"\n')
    refused = house.becomes("refused")
    (error,) = refused["reported"]["errors"]
    assert error["path"] == "camera[0].rule[0].colour"
    assert "unknown field" in error["message"]
    assert rules_of(house) == ["yard"]

    house.device.kill()
    house.broker.stop()
    house.broker.start()
    house.device.start()
    wait_until(lambda: "link up" in house.device.log.read_text().split("device stopped")[-1], house.logs, 60)
    house.becomes("refused")
    assert rules_of(house) == ["yard"]

    house.put("")
    house.becomes("applied")
    wait_until(lambda: rules_of(house) == ["middle", "street"], "the device's own file is back", 30)
    assert house.device.stop() == 0
    assert_all_stored(house)


def assert_all_stored(house):
    with closing(sqlite3.connect(house.device.state / "outbox.db")) as db:
        counters = dict(db.execute("SELECT name, value FROM counter"))
    seqs = house.fleet.event_seqs("cam-01")
    assert counters["event.made"] == counters["event.acked"] == len(seqs) == len(set(seqs)) > 0
    assert counters["count.made"] == counters["count.acked"]


@pytest.mark.parametrize(
    ("overlay", "words"),
    [
        ("health_s = ", "not TOML"),
        ("#" * 201, "line 1 has 201"),
        ("\n" * 2001, "2000 lines"),
        ("# \ud800", "surrogates"),
        ('"' * 190 + "\n", "TOML"),
    ],
)
def test_what_no_device_could_read_the_fleet_refuses_itself(overlay, words):
    from fleet.desired import check_overlay
    from fleet.errors import BadOverlay

    with pytest.raises(BadOverlay, match=words):
        check_overlay(overlay)


@pytest.fixture
def air(tmp_path):
    with running_mosquitto(tmp_path / "broker") as broker:
        listener = Listener(broker)
        device = Device(broker.port, tmp_path, password=broker.secrets["cam-01"])
        device.start()
        try:
            wait_until(lambda: listener.said(Channel.REPORTED), device.log.read_text, 60)
            yield listener, device
        finally:
            device.end()
            listener.client.stop()


def test_hostile_bytes_on_desired_are_reported_and_the_device_goes_on(air):
    listener, device = air
    for payload in (b"\xff", b"[" * 60_000, b"x" * 200_000, b"{}"):
        listener.client.publish(Topic("cam-01", Channel.DESIRED), payload)
        wait_until(lambda: listener.said(Channel.REPORTED)[-1].errors, "the fault is reported")
    assert listener.said(Channel.REPORTED)[-1].outcome == "none"
    (reply,) = listener.answer(listener.command("selftest", {}))
    assert reply.is_done
    assert device.process.poll() is None


def test_commands_answer_with_what_there_is_to_read_and_restart_ends_in_order_with_75(air):
    listener, device = air
    (logs,) = listener.answer(listener.command("logs", {"lines": 5}))
    assert 1 <= len(logs.lines) <= 5
    assert any("link" in line or "command" in line for line in logs.lines)
    (tested,) = listener.answer(listener.command("selftest", {}))
    assert [line for line in tested.lines if line.startswith("ok camera cam0")], tested.lines
    (who,) = listener.answer(listener.command("identify", {}))
    assert "device cam-01" in who.lines
    (learnt,) = listener.answer(listener.command("relearn", {"cam": "cam0"}))
    assert learnt.is_done
    (refused,) = listener.answer(listener.command("relearn", {"cam": "cam7"}))
    assert "there are cam0" in refused.reason
    (refused,) = listener.answer(listener.command("logs", {"lines": 5000}))
    assert not refused.is_done
    assert "1 to 100" in refused.reason

    request = listener.command("restart", {})
    (reply,) = listener.answer(request)
    assert reply.is_done
    assert device.process.wait(40) == 75
    wait_until(lambda: listener.said(Channel.STATUS)[-1].state == "stopped", "the goodbye")
    births = len(listener.said(Channel.STATUS))
    device.start()
    wait_until(lambda: len(listener.said(Channel.STATUS)) > births, "it is back", 60)
    listener.command("restart", {}, request=request)
    replies = wait_until(
        lambda: (again := [r for r in listener.said(Channel.REPLY) if r.request == request])[1:] and again,
        "the repeat is answered",
    )
    assert all(reply.is_done for reply in replies)
    time.sleep(1.0)
    assert device.process.poll() is None, "a repeat after the restart does not restart it again"
