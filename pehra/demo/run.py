"""Runs the demo, top to bottom: broker, fleet manager, cameras; wait; stop in the order of the road.

Cameras stop first, so that their last messages are stored and acknowledged; then the fleet manager; then
the broker.
"""

from __future__ import annotations

import json
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from device.firmware.summary import SUMMARY_FILE
from hardware.camera.street_camera import StreetCamera
from pehra.demo.house import (
    House,
    begin_open,
    begin_secure,
    devices_of,
    ending,
    is_hearing,
    private_file,
    wait_until,
)
from pehra.demo.plan import (
    SIZE,
    STREET_FPS,
    STREET_LINE_POINTS,
    DemoOptions,
    camera_config,
    street_source,
)
from pehra.demo.processes import answers, free_port, start
from pehra.demo.report import Report, make_report, model_of
from pehra.demo.truth import TOLERANCE_S, Agreement, Witness, agreement

STOP_S: Final = 20.0
ENDED_WELL: Final = (0, -signal.SIGTERM)
"""A child that was told to stop before it listens for that ends by the signal itself."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What can be said while the demo runs."""

    elapsed_s: float
    online: int
    cameras: int
    events: int


def run_demo(
    options: DemoOptions,
    stop: threading.Event,
    *,
    on_ready: Callable[[str, str], None],
    on_progress: Callable[[Progress], None],
) -> Report:
    """Run until the duration is over or `stop` is set; what is not started by then does not start.

    Args:
        options: checked by `plan.check`.
        stop: ends the demo early.
        on_ready: called with the console's address once it answers, and the password of its people, which
            is empty where nobody has to log in.
        on_progress: called about once a second.

    Raises:
        CannotStart: a part did not come up; its last words are in the error.
    """
    with (
        tempfile.TemporaryDirectory(prefix="pehra-demo-") as name,
        ending(House(Path(name), options)) as house,
    ):
        _start_all(house, options, stop)
        witnesses, trouble = _witnesses(options), []
        if not stop.is_set():
            on_ready(options.url, house.secure.password if house.secure else "")
            trouble = _watch(house, options, witnesses, stop, on_progress)
        return _stop_all(house, witnesses, trouble)


def _start_all(house: House, options: DemoOptions, stop: threading.Event) -> None:
    """Start part after part, each when the one before answers."""
    if stop.is_set():
        return
    broker_port = free_port()
    way = (begin_secure if options.is_secure else begin_open)(house, broker_port)
    wait_until(lambda: answers(broker_port), house, "the broker", options, stop)
    if stop.is_set():
        return
    house.fleet = start("fleet", ["pehra", "fleet", "run", *way.fleet], house.folder, way.environment)
    wait_until(lambda: is_hearing(house), house, "the fleet manager", options, stop)
    for number, device in enumerate(devices_of(options), 1):
        if stop.is_set():
            return
        text = camera_config(options, number, way.head(number))
        config = private_file(house.folder / f"{device}.toml", text)
        house.cameras.append(start(device, ["pehra", "device", "run", "--config", str(config)], house.folder))


def _witnesses(options: DemoOptions) -> dict[str, Witness]:
    """Return who knows the truth of each camera that looks at a simulated street."""
    witnesses = {}
    for number, device in enumerate(devices_of(options), 1):
        if source := street_source(options, number):
            camera = StreetCamera(source, width=SIZE[0], height=SIZE[1], fps=STREET_FPS)
            witnesses[device] = Witness(
                camera.scene, STREET_LINE_POINTS, fps=STREET_FPS, start_s=camera.options.start
            )
    return witnesses


def _watch(
    house: House,
    options: DemoOptions,
    witnesses: dict[str, Witness],
    stop: threading.Event,
    on_progress: Callable[[Progress], None],
) -> list[str]:
    cameras = options.camera_count
    wait_until(lambda: house.count_online() >= cameras, house, "every camera", options, stop)
    started_s = time.monotonic()
    while not stop.wait(1.0):
        if house.fallen():
            return house.fallen()
        elapsed_s = time.monotonic() - started_s
        stats = house.ask("stats")
        online, stored = int(stats.get("online", 0)), int(stats.get("events_stored", 0))
        on_progress(Progress(elapsed_s, online, cameras, stored))
        for witness in witnesses.values():
            witness.look_until(elapsed_s)
        if options.duration_s is not None and elapsed_s >= options.duration_s:
            break
    return []


def _stop_all(house: House, witnesses: dict[str, Witness], trouble: list[str]) -> Report:
    for camera in house.cameras:
        camera.ask_to_stop()
    codes = {camera.name: camera.wait(STOP_S) for camera in house.cameras}
    devices, missing = _summaries(house, codes)
    crossings = _crossings(house, witnesses, devices)
    stats, known = house.ask("stats"), house.ask("devices?limit=100").get("items", [])
    for child in (house.fleet, house.broker):
        if child is not None:
            child.ask_to_stop()
            codes[child.name] = child.wait(STOP_S)
    failed = [
        f"{child.name} ended with code {codes[child.name]}:\n{child.last_words()}"
        for child in house.all()
        if codes[child.name] not in ENDED_WELL
    ]
    found = [*trouble, *([] if trouble else failed), *missing]
    return make_report(list(devices.values()), stats, model_of(known), found, crossings, house.arrivals())


def _crossings(
    house: House, witnesses: dict[str, Witness], devices: dict[str, dict[str, Any]]
) -> Agreement | None:
    """Compare what the fleet stored with what happened in all streets; None without a street."""
    agreements = []
    for device, summary in devices.items():
        witness = witnesses.get(device)
        told = house.crossings_told(device) if witness else None
        if witness is None or told is None:
            continue
        for watch in summary["watches"]:
            opened_s = watch["from_s"] - watch["from_seq"] / STREET_FPS
            from_s, to_s = watch["from_s"] - opened_s, watch["to_s"] - opened_s
            witness.look_until(to_s + TOLERANCE_S)
            in_street = [event._replace(at_s=event.at_s - opened_s) for event in told]
            agreements.append(agreement(witness.crossings, in_street, from_s, to_s))
    return sum(agreements, Agreement()) if agreements else None


def _summaries(house: House, codes: dict[str, int]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Read what each camera left; one that was stopped before it was up has nothing to say."""
    devices, missing = {}, []
    for camera in house.cameras:
        summary = house.folder / camera.name / SUMMARY_FILE
        if summary.is_file():
            devices[camera.name] = json.loads(summary.read_text("utf-8"))
        elif codes[camera.name] == 0:
            missing.append(f"{camera.name} left no summary")
    return devices, missing
