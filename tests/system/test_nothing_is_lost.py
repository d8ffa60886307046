"""Kill the device, the fleet manager and the broker in the middle: no event missing, none twice."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing

import pytest

from tests.brokers import Mosquitto, wait_until
from tests.system.programs import Device, Fleet


@pytest.fixture
def house(tmp_path):
    """A broker, a fleet manager and a device, not started; whatever runs at the end is ended."""
    broker = Mosquitto(tmp_path / "broker")
    fleet = Fleet(broker, tmp_path)
    device = Device(broker.port, tmp_path, password=broker.secrets["cam-01"])
    yield broker, fleet, device
    for program in (device, fleet):
        program.end()
    broker.stop()


def assert_all_stored_once(fleet, device):
    made = device.outbox("event.made")
    seqs = fleet.event_seqs(device.device)
    assert made > 0, device.log.read_text()
    assert len(seqs) == len(set(seqs)) == made == device.outbox("event.acked"), device.log.read_text()


def made_beyond(device, number):
    wait_until(
        lambda: device.outbox("event.made") > number,
        f"more than {number} events\n{device.log.read_text()}",
        90,
    )
    return device.outbox("event.made")


@pytest.mark.timeout(300)
def test_sigkill_of_the_device_loses_no_event_and_stores_none_twice(house):
    broker, fleet, device = house
    broker.start()
    fleet.start()
    made = 0
    for _ in range(3):
        device.start()
        made = made_beyond(device, made + 2)
        device.kill()
    device.start()
    made_beyond(device, made + 2)
    assert device.stop() == 0
    assert_all_stored_once(fleet, device)


@pytest.mark.timeout(300)
def test_sigkill_of_the_fleet_loses_no_event_and_stores_none_twice(house):
    broker, fleet, device = house
    broker.start()
    fleet.start()
    device.start()
    made = made_beyond(device, 3)
    for _ in range(2):
        fleet.kill()
        made = made_beyond(device, made + 2)
        fleet.start()
        wait_until(
            lambda made=made: len(fleet.event_seqs(device.device)) >= made, "the fleet takes up again", 60
        )
    assert device.stop() == 0
    assert_all_stored_once(fleet, device)


@pytest.mark.timeout(300)
def test_a_broker_that_is_down_at_start_and_killed_in_the_middle_loses_no_event(house):
    broker, fleet, device = house
    device.start()
    made = made_beyond(device, 2)
    broker.start()
    fleet.start()
    wait_until(lambda: len(fleet.event_seqs(device.device)) >= made, "what waited is stored", 90)
    broker.stop(signal.SIGKILL)
    made = made_beyond(device, made + 3)
    broker.start()
    wait_until(lambda: len(fleet.event_seqs(device.device)) >= made, "what waited again is stored", 90)
    assert device.stop() == 0
    assert_all_stored_once(fleet, device)


def test_events_kept_while_the_fleet_was_away_are_marked_as_history(house):
    broker, fleet, device = house
    broker.start()
    device.start()
    made_beyond(device, 2)
    first = _oldest_waiting(device)
    wait_until(lambda: _age_s(device, first) > 11, "the first event is old", 60)
    fleet.start()
    wait_until(lambda: first in fleet.event_seqs(device.device), "the old event is stored", 60)
    with closing(sqlite3.connect(fleet.file)) as db:
        (hist,) = db.execute("SELECT is_hist FROM event WHERE seq = ?", (first,)).fetchone()
    assert hist


def test_sigterm_of_the_device_without_a_broker_keeps_everything_for_the_next_start(house):
    broker, fleet, device = house
    device.start()
    made = made_beyond(device, 2)
    assert device.stop() == 0
    assert device.summary()["outbox_left"] >= made
    broker.start()
    fleet.start()
    device.start()
    wait_until(
        lambda: len(fleet.event_seqs(device.device)) >= made, "the earlier run's events are stored", 60
    )
    assert device.stop() == 0
    assert_all_stored_once(fleet, device)


def _oldest_waiting(device):
    with closing(sqlite3.connect(f"file:{device.state / 'outbox.db'}?mode=ro", uri=True)) as db:
        return db.execute("SELECT MIN(seq) FROM message WHERE topic LIKE '%/event/%'").fetchone()[0]


def _age_s(device, seq):
    with closing(sqlite3.connect(f"file:{device.state / 'outbox.db'}?mode=ro", uri=True)) as db:
        query = "SELECT (julianday('now') - 2440587.5) * 86400 - made_s FROM message WHERE seq = ?"
        return db.execute(query, (seq,)).fetchone()[0]
