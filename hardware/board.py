"""What this board is and how warm; the profiles of single boards come with the device's health.

Reads the device tree and the kernel's sensors; never changes a setting.
"""

from __future__ import annotations

import platform
from pathlib import Path

import psutil

DEVICE_TREE_MODEL = Path("/proc/device-tree/model")
CPU_SENSORS = ("cpu_thermal", "cpu-thermal", "soc_thermal", "CPU-therm", "coretemp", "k10temp")
"""Names that Raspberry Pi, Jetson and PC kernels give to the sensor that matters, best first."""


def board_name(device_tree_model: Path = DEVICE_TREE_MODEL) -> str:
    """Return the board's model, such as `Raspberry Pi 4 Model B Rev 1.4`, or `generic x86_64`."""
    try:
        return device_tree_model.read_text("utf-8", errors="replace").rstrip("\0\n") or _generic()
    except OSError:
        return _generic()


def temperature_c() -> float | None:
    """Return the processor's temperature in degrees Celsius, or None where there is no sensor."""
    sensors = psutil.sensors_temperatures() if hasattr(psutil, "sensors_temperatures") else {}
    for name in CPU_SENSORS:
        if sensors.get(name):
            return float(sensors[name][0].current)
    return None


def _generic() -> str:
    return f"generic {platform.machine() or 'board'}"
