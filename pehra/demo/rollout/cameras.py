"""Starts the fleet of the story: broker, fleet manager, and cameras of which many share a process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from pehra.demo.house import House, begin_secure, devices_of, is_hearing, private_file, wait_until
from pehra.demo.plan import street_source
from pehra.demo.processes import answers, free_port, start
from pehra.demo.rollout.releases import LOST, Images

CROWD: Final = 20
"""Cameras of one process."""
FPS: Final = 1.0
SIZE: Final = (320, 240)
PROBATION_S: Final = 5.0
COUNTS_LOST: Final = 4
"""Every so many cameras count what the bad model has forgotten."""


def counts_lost(device: str) -> bool:
    """Return whether a camera counts what the bad model has forgotten."""
    return int(device.rpartition("-")[2]) % COUNTS_LOST == 0


def start_fleet(house: House, images: Images, stop: threading.Event) -> Callable[[int], str]:
    """Start broker and fleet manager; return what makes the head of a camera's configuration."""
    broker_port = free_port()
    way = begin_secure(house, broker_port)
    wait_until(lambda: answers(broker_port), house, "the broker", house.options, stop)
    arguments = [*way.fleet, "--images", str(images.www), "--image-repository", str(images.home.folder)]
    house.fleet = start("fleet", ["pehra", "fleet", "run", *arguments], house.folder, way.environment)
    wait_until(lambda: is_hearing(house), house, "the fleet manager", house.options, stop)
    return way.head


def start_cameras(
    house: House, head: Callable[[int], str], stop: threading.Event, say: Callable[[str], None]
) -> None:
    """Let some devices share a process each; wait until all of them are online, and say how many are."""
    configs = []
    for number, device in enumerate(devices_of(house.options), 1):
        text = _config(house, number, head(number), counts_lost(device))
        configs.append(str(private_file(house.folder / f"{device}.toml", text)))
    for first in range(0, len(configs), CROWD):
        some = configs[first : first + CROWD]
        name = f"cameras-{first // CROWD + 1}"
        house.cameras.append(start(name, ["pehra.demo.crowd", *some], house.folder))
    cameras, told = len(configs), 0

    def are_online() -> bool:
        nonlocal told
        online = house.count_online()
        if online >= min(told + CROWD // 2, cameras) and online > told:
            told = online
            say(f"  {online} of {cameras} are online")
        return online >= cameras

    wait_until(are_online, house, "every camera", house.options, stop)


def _config(house: House, number: int, head: str, is_counting_lost: bool) -> str:
    options = house.options
    classes = f'["car", "{LOST}"]' if is_counting_lost else '["car"]'
    return f"""\
health_s = 10

{head}
[model]
name = "{options.model}"

[update]
probation_s = {PROBATION_S}

[[camera]]
id = "cam0"
source = "{street_source(options, number)},size={SIZE[0]}x{SIZE[1]}"
width = {SIZE[0]}
height = {SIZE[1]}
fps = {FPS}
process = false

[[camera.rule]]
name = "street-line"
kind = "line"
points = [[0.3, 0.15], [0.3, 1.0]]
classes = {classes}
"""
