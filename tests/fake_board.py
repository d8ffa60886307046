"""Boards made of files: a root folder with the device tree and the sensors that a real one would have."""

from __future__ import annotations

from pathlib import Path

from hardware.board import Board, board
from hardware.board.throttling import GET_THROTTLED

PI_4 = ("Raspberry Pi 4 Model B Rev 1.4", ["raspberrypi,4-model-b", "brcm,bcm2711"])
PI_ZERO_2 = ("Raspberry Pi Zero 2 W Rev 1.0", ["raspberrypi,model-zero-2-w", "brcm,bcm2837"])
ORIN = (
    "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
    ["nvidia,p3768-0000+p3767-0005-super", "nvidia,p3767-0005", "nvidia,tegra234"],
)
NANO = ("NVIDIA Jetson Nano Developer Kit", ["nvidia,jetson-nano", "nvidia,tegra210"])


class FakeBoard:
    """A root folder that looks like a board's."""

    def __init__(self, root: Path, model: str = "", compatible: list[str] | None = None) -> None:
        self.root = root
        if model:
            self.write("proc/device-tree/model", model + "\0")
            self.write("proc/device-tree/compatible", "\0".join(compatible or []) + "\0")

    def write(self, path: str, text: str) -> Path:
        """Make a file below the root."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def zone(self, number: int, kind: str, millidegrees: object) -> Path:
        """Make a thermal zone; returns its `temp`."""
        self.write(f"sys/class/thermal/thermal_zone{number}/type", f"{kind}\n")
        return self.write(f"sys/class/thermal/thermal_zone{number}/temp", f"{millidegrees}\n")

    def monitor(self, number: int, name: str, **values: object) -> None:
        """Make a hardware monitor with these files."""
        self.write(f"sys/class/hwmon/hwmon{number}/name", f"{name}\n")
        for file, value in values.items():
            self.write(f"sys/class/hwmon/hwmon{number}/{file}", f"{value}\n")

    def throttled(self, text: str) -> None:
        """Say what the firmware says in sysfs."""
        self.write(GET_THROTTLED, text)

    def board(self, vcgencmd: str = "") -> Board:
        """Find the board; nothing of the machine that runs the test is asked."""
        return board(self.root, vcgencmd)
