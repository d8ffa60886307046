"""Chaos: a device killed two hundred times, a disk that refuses, a broker that is gone for an hour.

What was promised (the disk had it) is stored by the fleet, each happening once, and no file is torn.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing

import pytest

from device.firmware.link import Link
from device.firmware.link_client import LinkSettings
from device.firmware.outbox import Outbox
from device.firmware.remote import Answer
from ota.messages import BoxedObject, Channel, Event, Topic, format_ts, new_id
from tests.brokers import Mosquitto, wait_until
from tests.system.chaos_device import BOX, DEVICE
from tests.system.programs import Fleet

KILLS = 200


class ChaosDevice:
    """The light device, its lives, and what they promised."""

    def __init__(self, port, password, folder):
        self.folder = folder
        folder.mkdir()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.system.chaos_device", str(port), password, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.made, self.kept, self.pids, self.is_idle = set(), set(), [], False
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            word, *numbers = line.split()
            if word == "pid":
                self.pids.append(int(numbers[0]))
            elif word == "idle":
                self.is_idle = True
            else:
                getattr(self, word).update(map(int, numbers))

    def live(self, word="go"):
        before = len(self.pids)
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        wait_until(lambda: len(self.pids) > before, "a life")
        return self.pids[-1]

    def end(self):
        if self.pids:
            kill(self.pids[-1])
        self.process.stdin.write("end\n")
        self.process.stdin.close()
        assert self.process.wait(20) == 0
        self._reader.join(20)
        self.process.stdout.close()


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    wait_until(lambda: not is_alive(pid), "its end")


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def street(tmp_path):
    """Broker, fleet and a light device."""
    broker = Mosquitto(tmp_path / "broker").start()
    fleet = Fleet(broker, tmp_path)
    fleet.start()
    device = ChaosDevice(broker.port, broker.secrets[DEVICE], tmp_path / "device")
    yield broker, fleet, device
    device.end()
    fleet.end()
    broker.stop()


def drained(device):
    """Let the device live until the fleet has acknowledged all."""
    device.live("quiet")
    wait_until(lambda: device.is_idle, "everything is acknowledged", 60)
    kill(device.pids[-1])


def read(file, query):
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db:
        return db.execute(query).fetchall()


def assert_nothing_lost_and_nothing_twice(fleet, device):
    stored = Counter(track for (track,) in read(fleet.file, "SELECT track FROM event"))
    assert set(stored.values()) == {1}
    assert device.kept <= set(stored) <= device.made
    outbox = device.folder / "outbox.db"
    counters = dict(read(outbox, "SELECT name, value FROM counter"))
    assert counters["event.made"] == counters["event.acked"] == sum(stored.values())
    assert counters["count.made"] == counters["count.acked"]
    assert not [name for name in counters if "dropped" in name or "lost" in name]
    for file in (outbox, fleet.file):
        assert read(file, "PRAGMA integrity_check") == [("ok",)]
    assert not list(device.folder.glob("*broken*"))


@pytest.mark.timeout(170)
def test_a_device_killed_two_hundred_times_loses_no_event_stores_none_twice_and_tears_no_file(street):
    _, fleet, device = street
    for _ in range(KILLS):
        pid = device.live()
        time.sleep(random.uniform(0.0, 0.3))  # the moment of the kill is what is tried
        assert is_alive(pid), "it ended before it was killed"
        kill(pid)
    drained(device)
    assert len(device.pids) == KILLS + 1
    assert len(device.kept) > KILLS, "it worked between the kills"
    assert_nothing_lost_and_nothing_twice(fleet, device)


@pytest.mark.timeout(120)
def test_a_disk_that_refuses_for_a_while_loses_nothing(street):
    _, fleet, device = street
    pid = device.live()
    for _ in range(3):
        kept = len(device.kept)
        wait_until(lambda kept=kept: len(device.kept) > kept + 20, "events are kept")
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, hard))
        made = len(device.made)
        wait_until(lambda made=made: len(device.made) > made + 8, "events come while the disk refuses")
        kept = len(device.kept)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, hard))
        wait_until(lambda kept=kept: len(device.kept) > kept, "the disk takes them again")
    kill(pid)
    drained(device)
    assert_nothing_lost_and_nothing_twice(fleet, device)
    assert len(device.made - device.kept) > 20, "the disk did refuse"
    stored = {track for (track,) in read(fleet.file, "SELECT track FROM event")}
    assert len(device.made - stored) <= 4, "at most the group that the end cut off"


class Wall:
    """A clock that is an hour behind and catches up as fast as the test goes."""

    def __init__(self):
        self.behind_s = 3600.0

    def __call__(self):
        return time.time() - self.behind_s


@pytest.mark.timeout(120)
def test_a_broker_that_is_gone_for_an_hour_gets_everything_afterwards_marked_as_history(tmp_path):
    wall, broker = Wall(), Mosquitto(tmp_path / "broker")
    outbox = Outbox(tmp_path / "outbox.db", now=wall)
    settings = LinkSettings("127.0.0.1", broker.port, DEVICE, broker.secrets[DEVICE], replay_per_s=500.0)
    link = Link(DEVICE, settings, outbox, on_birth=lambda: None, on_command=lambda name, command: Answer())
    fleet, stop = Fleet(broker, tmp_path), threading.Event()
    writer = threading.Thread(target=outbox.run, args=(stop,))
    writer.start()
    link.start()
    made = set()
    try:
        for minute in range(60):
            made |= {_happen(outbox, wall, "high" if n == 3 else "low") for n in range(20)}
            assert outbox.flush()
            wall.behind_s = 3600.0 - 60.0 * (minute + 1)
        assert not link.is_connected
        broker.start()
        fleet.start()
        wait_until(lambda: outbox.depth == 0, "everything is acknowledged", 60)
        news = _happen(outbox, wall, "low")
        wait_until(lambda: outbox.depth == 1 or outbox.unwritten == 0, "the news")
        wait_until(lambda: outbox.depth == 0, "the news is acknowledged", 30)
        rows = read(fleet.file, "SELECT track, is_hist FROM event")
        assert {track for track, _ in rows} == made | {news}
        assert len(rows) == len(made) + 1 == 1201
        assert {track for track, is_hist in rows if not is_hist} == {news}
    finally:
        link.stop()
        stop.set()
        outbox.wake()
        writer.join(10)
        outbox.close()
        fleet.end()
        broker.stop()


def _happen(outbox, wall, sev):
    happening, ts = random.getrandbits(52), format_ts(wall())
    seen = BoxedObject(happening, "car", 0.9, BOX)
    outbox.add(
        Topic(DEVICE, Channel.EVENT, "cam0", "line-cross"),
        lambda seq: Event(
            id=new_id(), ts=ts, seq=seq, cam="cam0", kind="line-cross", rule="gate", sev=sev, object=seen
        ),
    )
    return happening
