"""Whether a Raspberry Pi slowed itself down or was fed too little, from its firmware; never clears a bit."""

from __future__ import annotations

import logging
import subprocess
from dataclasses import dataclass
from pathlib import Path

from hardware.board.sysfs import as_number, hwmon, read_number

_log = logging.getLogger(__name__)

GET_THROTTLED = "sys/devices/platform/soc/soc:firmware/get_throttled"
VCGENCMD_S = 2.0


@dataclass(frozen=True, slots=True)
class Throttling:
    """The firmware's bits, as Raspberry Pi's documentation of `vcgencmd get_throttled` lists them.

    Attributes:
        bits: 0 under-voltage, 1 frequency capped, 2 throttled, 3 soft temperature limit: now; the same four
            from bit 16 on: since the start.
    """

    bits: int

    @property
    def under_voltage(self) -> bool:
        """The supply is below its limit now."""
        return bool(self.bits & 1 << 0)

    @property
    def is_capped(self) -> bool:
        """The processor's frequency is capped now."""
        return bool(self.bits & 1 << 1)

    @property
    def is_throttled(self) -> bool:
        """The firmware throttles now."""
        return bool(self.bits & 1 << 2)

    @property
    def is_soft_limited(self) -> bool:
        """The soft temperature limit is at work now (Pi 3 B+ and 3 A+: from 60 degrees, by their design)."""
        return bool(self.bits & 1 << 3)

    @property
    def is_slowed(self) -> bool:
        """The board runs slower than it could, whatever the reason."""
        return bool(self.bits & 0b1110)

    def had_under_voltage(self) -> bool:
        """The supply was below its limit at least once since the start."""
        return bool(self.bits & 1 << 16)

    def words(self) -> list[str]:
        """Return what the bits say, `now` before `since the start`; empty when all is well."""
        names = ("under-voltage", "frequency capped", "throttled", "soft temperature limit")
        now = [f"{name} now" for bit, name in enumerate(names) if self.bits >> bit & 1]
        past = [
            f"{name} since the start"
            for bit, name in enumerate(names)
            if self.bits >> bit + 16 & 1 and not self.bits >> bit & 1
        ]
        return now + past


class Firmware:
    """Where a Raspberry Pi's firmware is asked: sysfs first, else the program `vcgencmd`.

    Args:
        root: folder in which `sys` lies.
        vcgencmd: the program's name or path; empty asks none.
    """

    def __init__(self, root: Path, vcgencmd: str) -> None:
        self._root = root
        self._vcgencmd = vcgencmd

    def throttling(self) -> Throttling | None:
        """Return the bits, None where nobody tells them."""
        bits = read_number(self._root / GET_THROTTLED, 16)
        if bits is None and self._vcgencmd:
            bits = self._ask_vcgencmd()
        return None if bits is None or not 0 <= bits < 1 << 32 else Throttling(bits)

    def _ask_vcgencmd(self) -> int | None:
        """Run the program; one that fails or hangs is not asked again, as it would hang each time."""
        try:
            done = subprocess.run(  # noqa: S603 (a name of ours and a fixed word, no shell)
                [self._vcgencmd, "get_throttled"],
                capture_output=True,
                timeout=VCGENCMD_S,
                check=True,
                text=True,
                errors="replace",
            )
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            _log.info("board: %s tells nothing reason=%r", self._vcgencmd, str(error)[:120])
            self._vcgencmd = ""
            return None
        return as_number(done.stdout.strip().partition("=")[2], 16)


def hwmon_under_voltage(root: Path) -> bool | None:
    """Return the kernel's own alarm of a low supply (monitor `rpi_volt`), None where there is none."""
    for folder in hwmon(root, "rpi_volt"):
        alarm = read_number(folder / "in0_lcrit_alarm")
        if alarm in {0, 1}:
            return alarm == 1
    return None
