"""The board that this program runs on: found from the device tree, asked for its health.

All paths hang below a root folder, so that a test can build a board out of files.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

from hardware.board import load, sensors
from hardware.board.profile import Profile, profile_of
from hardware.board.sysfs import read_text
from hardware.board.throttling import Firmware, Throttling, hwmon_under_voltage

ROOT = Path("/")
DEVICE_TREE = "proc/device-tree"


@dataclass(frozen=True, slots=True)
class Reading:
    """How a board is at one moment; None is what it does not tell.

    Attributes:
        temp_c: of the processor, degrees Celsius.
        throttling: the firmware's bits (Raspberry Pi).
        throttled: whether it runs slower than it could, now.
        under_voltage: whether its supply is too low, now.
        cpu_pct: 0..100 since the reading before.
        mem_pct: 0..100 in use.
        disk_pct: 0..100 in use, of the disk that was asked for.
        sd_wear_pct: 0..100 of the storage's life used (eMMC).
        pre_end_of_life: 1 normal, 2 warning, 3 urgent (eMMC).
        uptime_s: seconds since it started.
        power_mw: what the whole board draws, milliwatts (Jetson).
    """

    temp_c: float | None = None
    throttling: Throttling | None = None
    throttled: bool | None = None
    under_voltage: bool | None = None
    cpu_pct: float | None = None
    mem_pct: float | None = None
    disk_pct: float | None = None
    sd_wear_pct: float | None = None
    pre_end_of_life: int | None = None
    uptime_s: float | None = None
    power_mw: int | None = None


class Board:
    """One board.

    Args:
        name: its model for people, such as `Raspberry Pi 4 Model B Rev 1.4`.
        profile: what is known of its kind.
        root: folder in which `proc` and `sys` lie.
        vcgencmd: program to ask where a Raspberry Pi's sysfs tells nothing; empty asks none.
    """

    def __init__(self, name: str, profile: Profile, root: Path = ROOT, vcgencmd: str = "vcgencmd") -> None:
        self.name = name
        self.profile = profile
        self._root = root
        self._firmware = Firmware(root, vcgencmd) if profile.throttling == "raspberry-pi" else None
        self._processor = load.Processor(root)

    def temperature_c(self) -> float | None:
        """Return the processor's temperature in degrees Celsius."""
        return sensors.temperature_c(self._root, self.profile.thermal.sensors)

    def reading(self, disk: Path = ROOT) -> Reading:
        """Ask everything once; takes milliseconds, at worst `VCGENCMD_S` once.

        Args:
            disk: a folder of the disk to measure.
        """
        profile, root = self.profile, self._root
        throttling = self._firmware.throttling() if self._firmware else None
        alarm = hwmon_under_voltage(root) if self._firmware else None
        told = [low for low in (alarm, throttling.under_voltage if throttling else None) if low is not None]
        return Reading(
            temp_c=self.temperature_c(),
            throttling=throttling,
            throttled=throttling.is_slowed if throttling else None,
            under_voltage=any(told) if told else None,
            cpu_pct=self._processor.busy_pct(),
            mem_pct=load.memory_pct(root),
            disk_pct=load.disk_pct(disk),
            sd_wear_pct=sensors.wear_pct(root, profile.storage),
            pre_end_of_life=sensors.pre_end_of_life(root, profile.storage),
            uptime_s=load.uptime_s(root),
            power_mw=sensors.power_mw(root, profile.power_rails),
        )


def board(root: Path = ROOT, vcgencmd: str = "vcgencmd") -> Board:
    """Find out which board this is."""
    model = read_text(root / DEVICE_TREE / "model") or ""
    compatible = (read_text(root / DEVICE_TREE / "compatible") or "").split("\0")
    name = "".join(char for char in model if char.isprintable())[:200] or _generic()
    return Board(name, profile_of(model, compatible), root, vcgencmd)


def board_name(root: Path = ROOT) -> str:
    """Return the board's model, such as `Raspberry Pi 4 Model B Rev 1.4`, or `generic x86_64`."""
    return board(root).name


def serial_number(root: Path = ROOT) -> str:
    """Return the board's serial number as its vendor gave it; empty where it has none that can be read."""
    text = read_text(root / DEVICE_TREE / "serial-number") or ""
    return "".join(char for char in text if char.isascii() and char.isalnum())[:64]


def temperature_c(root: Path = ROOT) -> float | None:
    """Return the processor's temperature in degrees Celsius, or None where there is no sensor."""
    return board(root).temperature_c()


def _generic() -> str:
    return f"generic {platform.machine() or 'board'}"
