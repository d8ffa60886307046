"""The same road over the embedded broker that the demo runs on."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

from ota.messages import LiveFrame, new_id
from tests.brokers import as_user, running_embedded, wait_until
from tests.fake_device import FakeDevice, event, health, info, moving_objects, now
from tests.integration.test_ingest_road import device_row, rows, running_fleet


def test_many_devices_over_the_embedded_broker_lose_nothing(tmp_path: Path) -> None:
    names = [f"cam-{number:02d}" for number in range(1, 5)]
    with running_embedded() as broker, running_fleet(broker, tmp_path / "fleet.db") as fleet:
        devices = [FakeDevice(broker, name).__enter__() for name in names]
        try:
            threads = [threading.Thread(target=speak, args=(device,)) for device in devices]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
            for device in devices:
                wait_until(
                    lambda one=device: one.acked == set(range(1, 101)), f"{device.device} is acknowledged"
                )
            assert rows(fleet, "select device, count(*) from event group by device") == [
                (n, 100) for n in names
            ]
            assert fleet.tally.view().refused == {}
        finally:
            for device in devices:
                device.__exit__()


def speak(device: FakeDevice) -> None:
    device.birth()
    device.say(info())
    device.say(health())
    for seq in range(1, 101):
        device.say(event(seq))


def test_will_and_live_lease_work_over_the_embedded_broker(tmp_path: Path) -> None:
    with running_embedded() as broker, running_fleet(broker, tmp_path / "fleet.db") as fleet:
        with FakeDevice(broker, "cam-01") as device:
            device.birth()
            wait_until(lambda: device_row(fleet).get("is_online"), "it is online")
            fleet.live.look("cam-01", "cam0", fleet.link.publish, now_s=time.monotonic(), utc_s=time.time())
            wait_until(lambda: device.leases == ["cam0"], "the device is asked")
            device.say(LiveFrame(id=new_id(), ts=now(), cam="cam0", objects=moving_objects(1.0, 1)))
            wait_until(lambda: fleet.live.newest("cam-01", "cam0"), "the frame is there")
            device.client.vanish()
            wait_until(lambda: device_row(fleet)["state"] == "lost", "the will arrives")
        assert not device_row(fleet)["is_online"]


def test_a_connection_that_never_spoke_is_closed_when_the_broker_ends() -> None:
    with running_embedded() as broker:
        silent = socket.create_connection(("127.0.0.1", broker.port), timeout=10)
        with as_user(broker, "fleet"):
            pass  # the broker took the silent one before
    with silent:
        assert silent.recv(1) == b""
