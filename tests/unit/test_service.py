"""What systemd hears, over real datagram sockets, and what it does not."""

from __future__ import annotations

import os
import socket
from contextlib import closing

import pytest

from device.firmware.service import Service


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    """A service manager's socket and its address as `NOTIFY_SOCKET` has it."""
    name = f"pehra-test-{os.getpid()}"
    address = str(tmp_path / "notify") if request.param == "path" else f"@{name}"
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as ear:
        ear.bind("\0" + name if request.param == "abstract" else address)
        ear.settimeout(5)
        yield ear, address


def heard(ear):
    said = []
    ear.setblocking(False)
    try:
        while True:
            said.append(ear.recv(4096).decode())
    except BlockingIOError:
        return said


def test_ready_status_watchdog_and_stopping_are_heard(manager):
    ear, address = manager
    clock = [100.0]
    service = Service(address, watchdog_s=30.0, now=lambda: clock[0])
    service.ready()
    service.alive("online, 1 camera(s), link up")
    service.alive("online, 1 camera(s), link up")
    clock[0] = 109.9
    service.alive("online, 1 camera(s), link up")
    assert heard(ear) == ["READY=1", "STATUS=online, 1 camera(s), link up", "WATCHDOG=1"]
    clock[0] = 110.0
    service.alive("degraded\ncamera lost: cam0")
    assert heard(ear) == ["STATUS=degraded camera lost: cam0", "WATCHDOG=1"]
    service.stopping()
    assert heard(ear) == ["STOPPING=1\nSTATUS=stopping"]


def test_without_a_watchdog_it_is_not_fed(manager):
    ear, address = manager
    Service(address).alive("online")
    assert heard(ear) == ["STATUS=online"]


def test_the_environment_tells_the_socket_and_is_cleaned_so_that_no_child_speaks_for_us():
    environment = {
        "NOTIFY_SOCKET": "@x",
        "WATCHDOG_USEC": "90000000",
        "WATCHDOG_PID": str(os.getpid()),
        "A": "1",
    }
    service = Service.from_environment(environment)
    assert (service._address, service._watchdog_s) == ("@x", 90.0)
    assert environment == {"A": "1"}


@pytest.mark.parametrize(
    "environment",
    [{}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "90000000", "WATCHDOG_PID": str(os.getpid() + 1)}],
)
def test_a_watchdog_that_is_not_ours_or_makes_no_sense_is_not_fed(environment):
    assert Service.from_environment(dict(environment))._watchdog_s == 0.0


def test_a_manager_that_does_not_listen_does_no_harm(tmp_path, caplog):
    service = Service(str(tmp_path / "nobody"), watchdog_s=3.0)
    service.ready()
    service.alive("online")
    service.stopping()
    assert "cannot be told" in caplog.text


def test_started_by_nobody_it_says_nothing(caplog):
    Service().ready()
    Service().alive("online")
    assert caplog.text == ""
