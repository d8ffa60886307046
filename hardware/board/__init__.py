"""The board below the camera: which it is, how warm, how well fed. Open `board.py` first.

Reads the device tree, sysfs and procfs, and never changes a setting. What a board does not tell is None.
"""

from hardware.board.board import Board, Reading, board, board_name, serial_number, temperature_c
from hardware.board.profile import Advice, Profile, Thermal
from hardware.board.throttling import Throttling

__all__ = [
    "Advice",
    "Board",
    "Profile",
    "Reading",
    "Thermal",
    "Throttling",
    "board",
    "board_name",
    "serial_number",
    "temperature_c",
]
