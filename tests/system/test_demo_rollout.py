"""`pehra demo --scenario rollout` as a person runs it, with half its cameras."""

from __future__ import annotations

import json
import socket

import pytest

from fleet.broker.run import find_mosquitto
from fleet.rollouts.members import rank_of
from pehra.demo.plan import device_id
from pehra.demo.rollout.cameras import counts_lost
from pehra.demo.rollout.releases import GOOD
from pehra.demo.rollout.story import id_whose_first_is_blind
from tests.brokers import free_port
from tests.conftest import missing
from tests.system.test_demo import demo


@pytest.mark.timeout(300)
def test_a_good_model_goes_to_all_cameras_and_a_bad_one_stops_itself_at_stage_two_and_is_taken_back():
    if not find_mosquitto():
        missing("mosquitto is not installed (Debian package: mosquitto)")
    arguments = ("--scenario", "rollout", "--cameras", "20", "--port", str(free_port()), "--json")
    done = demo(*arguments, timeout_s=280)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["trouble"] == []
    assert told["stopped_at"] == 2
    assert "are failures" in told["why"]
    assert told["took_bad"] >= 1
    assert told["running"] == {GOOD: 20}
    assert done.stderr.count("it cannot see bicycle, which rule street-line of cam0 waits for") == 1
    assert "20 of 20 are online" in done.stderr


def test_the_first_camera_of_the_bad_rollout_is_one_that_its_fault_does_not_touch():
    devices = [device_id(number) for number in range(1, 41)]
    rollout = id_whose_first_is_blind(devices)
    first, *others = sorted(devices, key=lambda device: rank_of(rollout, device))
    assert not counts_lost(first)
    assert any(counts_lost(device) for device in others[:3])


def test_too_few_cameras_are_said_before_anything_starts():
    done = demo("--scenario", "rollout", "--cameras", "10", "--port", str(free_port()))
    assert (done.returncode, done.stdout) == (2, "")
    assert "at least 11 cameras" in done.stderr


def test_a_port_that_is_taken_is_said_before_anything_starts():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = demo("--scenario", "rollout", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 2
    assert "in use" in done.stderr
