"""A rollout to 1,000 devices over real MQTT: Mosquitto, a certificate each, the whole fleet manager.

The fleet manager runs in this process, so that its looks and its memory can be measured; the devices run in
another. By itself: `python -m tests.bench.rollout_air [--devices 1000]`.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Final

import msgspec
from sqlalchemy import func, select
from sqlmodel import Session, col

from fleet.rollouts import acting
from fleet.rollouts.acting import NewRollout
from fleet.rollouts.plan import Settings as Plan
from fleet.rollouts.releases import NewRelease, add_release
from fleet.services import Services, build_services, running
from fleet.settings import load_settings
from fleet.store.tables import Device
from fleet.store.tables_rollouts import RolloutDevice
from tests.bench.identity_ground import Ground, ground_folder
from tests.bench.table import Row
from tests.brokers import wait_until

DEVICES: Final = 1_000
CROWD: Final = 250
"""Devices of one process (see `rollout_air_devices`)."""
LOOK_S: Final = 2.0
DEADLINE_S: Final = 600.0
NEW: Final = "b" * 64


class Costs(msgspec.Struct, frozen=True):
    """What a rollout of one stage cost.

    Attributes:
        all_s: from the order until every device's answer was written.
        look_ms: a look of the engine while it went on, median.
        worst_ms: the longest.
        cpu_ms: processor time of the fleet manager, a device.
        peak_mib: of the fleet manager, at its highest.
        base_mib: with all devices connected, before the order.
        desired_bytes: what a device was told, all documents of the rollout together.
        said_bytes: what a device said.
    """

    all_s: float
    look_ms: float
    worst_ms: float
    cpu_ms: float
    peak_mib: float
    base_mib: float
    desired_bytes: float
    said_bytes: float


def measure(data: Path) -> list[Row]:
    """Measure in a process of its own, so that its memory is its own."""
    del data
    what = f"a rollout to {DEVICES} devices over MQTT with mutual TLS"
    if shutil.which("mosquitto", path="/usr/bin:/usr/sbin:/usr/local/bin:/usr/local/sbin") is None:
        return [Row(what, "not measured", "mosquitto is not installed")]
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.rollout_air"], check=True, capture_output=True, timeout=1800
    )
    costs = msgspec.json.decode(done.stdout, type=Costs)
    return [
        Row(f"{what}, order to the last answer", f"{costs.all_s:.1f} s", "two looks are 4 s", ""),
        Row(
            f"{what}, a look, p50 / longest",
            f"{costs.look_ms:.0f} / {costs.worst_ms:.0f} ms",
            f"looked at every {LOOK_S:g} s",
            f"{costs.look_ms / 1000 / LOOK_S:.3f}",
        ),
        Row(f"{what}, the fleet manager's processor time a device", f"{costs.cpu_ms:.1f} ms"),
        Row(
            f"{what}, the fleet manager's memory at its highest",
            f"{costs.peak_mib:.0f} MiB",
            f"before the order {costs.base_mib:.0f} MiB",
            f"{costs.peak_mib / costs.base_mib:.2f}",
        ),
        Row(
            f"{what}, a device hears / says",
            f"{costs.desired_bytes:.0f} / {costs.said_bytes:.0f} bytes",
        ),
    ]


def cost_of(devices: int) -> Costs:
    """Let one rollout of one stage go to all devices."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # the broker inherits it: a socket a device
    with ground_folder() as folder:
        ground = Ground(folder)
        ground.broker.start()
        try:
            names = [f"cam-r{number:04d}" for number in range(devices)]
            own = [folder / f"devices-{first}" for first in range(0, devices, CROWD)]
            for place in own:
                place.mkdir()
            for number, member in enumerate(ground.let_in(names)):
                member.file.rename(own[number // CROWD] / member.file.name)
            settings = load_settings(
                {}, home=ground.home.folder, http_port=ground.https_port, offline_after_s=600.0
            )
            services = build_services(settings)
            looks = _timed(services)
            with running(services), _devices(ground, own) as crowds:
                return _roll_out(services, devices, looks, crowds)
        finally:
            ground.broker.end()
            ground.engine.dispose()


def _roll_out(
    services: Services, devices: int, looks: list[float], crowds: list[subprocess.Popen[str]]
) -> Costs:
    wait_until(lambda: _online(services) == devices, "all devices are online", DEADLINE_S)
    base_mib, began_s, began_cpu_s = _peak_mib(), time.perf_counter(), time.process_time()
    looks.clear()
    with services.session() as session:
        now_ms = time.time_ns() // 1_000_000
        new = NewRelease("model", "street-2", "2.0.1", NEW, 1_500_000, custom={"name": "street-2"})
        add_release(session, new, "bench", now_ms)
        plan = Plan(soak_s=0)
        acting.create(
            session,
            NewRollout("bench", "street-2@2.0.1", "all", "100%", plan, needs_approval=False),
            "bench",
            now_ms,
        )
    services.rollouts.wake()
    wait_until(lambda: _succeeded(services) == devices, "all devices run it", DEADLINE_S)
    all_s, cpu_s = time.perf_counter() - began_s, time.process_time() - began_cpu_s
    took = [1000 * one for one in looks]
    told = [json.loads(crowd.communicate("")[0]) for crowd in crowds]
    heard, said = (sum(column) for column in zip(*told, strict=True))
    return Costs(
        all_s,
        median(took),
        max(took),
        1000 * cpu_s / devices,
        _peak_mib(),
        base_mib,
        heard / devices,
        said / devices,
    )


def _timed(services: Services) -> list[float]:
    """Note how long each look takes, seconds."""
    looks: list[float] = []
    look = services.rollouts.tick

    def tick(now_ms: int) -> bool:
        began_s = time.perf_counter()
        try:
            return look(now_ms)
        finally:
            looks.append(time.perf_counter() - began_s)

    services.rollouts.tick = tick  # type: ignore[method-assign]
    return looks


@contextmanager
def _devices(ground: Ground, folders: list[Path]) -> Iterator[list[subprocess.Popen[str]]]:
    """Let the devices of each folder run in a process, until all of them are connected."""
    command = [sys.executable, "-m", "tests.bench.rollout_air_devices", str(ground.mqtt_port)]
    crowds: list[subprocess.Popen[str]] = []
    try:
        for folder in folders:
            crowd = subprocess.Popen(
                [*command, str(ground.home.authorities), str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            crowds.append(crowd)
            assert crowd.stdout is not None
            if crowd.stdout.readline() != "up\n":
                raise SystemExit("the devices do not come up")
        yield crowds
    finally:
        for crowd in crowds:
            crowd.kill()
            crowd.communicate()


def _online(services: Services) -> int:
    query = select(func.count()).select_from(Device).where(col(Device.is_online))
    return _number(services, query.where(col(Device.reported_ms).is_not(None)))


def _succeeded(services: Services) -> int:
    counted = select(func.count()).select_from(RolloutDevice)
    return _number(services, counted.where(col(RolloutDevice.state) == "succeeded"))


def _number(services: Services, query: object) -> int:
    time.sleep(0.2)  # a poll of a bench that should not be what it measures
    with Session(services.engine) as session:
        return int(session.execute(query).scalar_one())  # type: ignore[call-overload]


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure, and print what it cost as JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.rollout_air", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--devices", type=int, default=DEVICES)
    sys.stdout.buffer.write(msgspec.json.encode(cost_of(parser.parse_args().devices)) + b"\n")


if __name__ == "__main__":
    main()
