"""Cameras that take themselves for a Raspberry Pi 4, many in one process: `-m tests.boards ROOT CONFIG ...`.

The whole firmware of each, as in `pehra.demo.crowd`; only the device tree is a folder of files.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import device.firmware.deeds
import device.firmware.updater
import device.firmware.voice
from hardware.board import board
from pehra.demo import crowd


def lay_out(root: Path) -> Path:
    """Write the device tree of a board."""
    tree = root / "proc" / "device-tree"
    tree.mkdir(parents=True)
    (tree / "model").write_text("Raspberry Pi 4 Model B Rev 1.4\0")
    (tree / "compatible").write_text("raspberrypi,4-model-b\0brcm,bcm2711\0")
    return root


if __name__ == "__main__":
    this = partial(board, Path(sys.argv.pop(1)), vcgencmd="")
    for part in (device.firmware.deeds, device.firmware.updater, device.firmware.voice):
        part.board = this
    sys.exit(crowd.main())
