"""Temperature, power and wear of storage out of sysfs; implausible values are no values."""

from __future__ import annotations

from pathlib import Path

from hardware.board.sysfs import hwmon, numbered, read_number, read_text

LEAST_C, MOST_C = -40.0, 125.0
"""What the silicon of these boards is made for; a sensor outside is broken or not connected."""

MOST_MW = 300_000


def temperature_c(root: Path, names: list[str]) -> float | None:
    """Return the temperature of the first of these sensors that tells one, in degrees Celsius."""
    zones = [
        (read_text(zone / "type"), zone / "temp")
        for zone in numbered(root / "sys/class/thermal", "thermal_zone")
    ]
    for name in names:
        files = [file for kind, file in zones if kind == name]
        files += [folder / "temp1_input" for folder in hwmon(root, name)]
        for file in files:
            millidegrees = read_number(file)
            # Exactly 0 is what a driver says that has not measured yet.
            if millidegrees and LEAST_C <= millidegrees / 1000 <= MOST_C:
                return millidegrees / 1000
    return None


def power_mw(root: Path, rails: list[str]) -> int | None:
    """Return the power of the first of these rails of an INA3221 that is there, in milliwatts.

    Jetsons of JetPack 5 and 6 have the kernel's monitor `ina3221` (mV and mA, see its documentation),
    those of JetPack 4 NVIDIA's own driver `ina3221x` (mW).
    """
    channels = _monitor_channels(root) | _iio_channels(root)
    for rail in rails:
        value = channels.get(rail)
        if value is not None and 0 <= value <= MOST_MW:
            return value
    return None


def wear_pct(root: Path, devices: list[str]) -> float | None:
    """Return how much of its life the first of these block devices has used, in percent.

    Only eMMC tells (JEDEC JESD84-B51, DEVICE_LIFE_TIME_EST_TYP_A and _B: tenths, 0x0B is beyond the end);
    SD cards have nothing standardised and give None.
    """
    for device in devices:
        text = read_text(root / "sys/block" / device / "device/life_time")
        if text is not None:
            return _life_used_pct(text)
    return None


def pre_end_of_life(root: Path, devices: list[str]) -> int | None:
    """Return what eMMC says of its spare blocks: 1 normal, 2 warning, 3 urgent (JESD84-B51 PRE_EOL_INFO)."""
    for device in devices:
        value = read_number(root / "sys/block" / device / "device/pre_eol_info", 16)
        if value in {1, 2, 3}:
            return value
    return None


def _life_used_pct(text: str) -> float | None:
    try:
        tenths = max(int(word, 16) for word in text.split())
    except ValueError:
        return None
    return 10.0 * min(tenths, 10) if 1 <= tenths <= 11 else None


def _monitor_channels(root: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    for folder in hwmon(root, "ina3221"):
        for channel in (1, 2, 3):
            label = read_text(folder / f"in{channel}_label")
            millivolts = read_number(folder / f"in{channel}_input")
            milliamperes = read_number(folder / f"curr{channel}_input")
            if label and millivolts is not None and milliamperes is not None:
                found.setdefault(label, millivolts * milliamperes // 1000)
    return found


def _iio_channels(root: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    for folder in numbered(root / "sys/bus/iio/devices", "iio:device"):
        for channel in (0, 1, 2):
            label = read_text(folder / f"rail_name_{channel}")
            milliwatts = read_number(folder / f"in_power{channel}_input")
            if label and milliwatts is not None:
                found.setdefault(label, milliwatts)
    return found
